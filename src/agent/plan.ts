/** The next thing to do to an engine. */
export type Plan =
  | { readonly act: 'unload'; readonly adapters: readonly string[] }
  | { readonly act: 'load'; readonly version: string }
  | { readonly act: 'nothing' };

/**
 * Everything else goes first: a kill must not wait for a load, and an old version must not be served beside the new.
 * @param loadReplaces a load does that by itself
 */
export function plan(observed: readonly string[], adapter: string | null, loadReplaces = false): Plan {
  const missing = adapter !== null && !observed.includes(adapter);
  if (missing && loadReplaces) return { act: 'load', version: adapter };
  const others = [...new Set(observed)].filter((each) => each !== adapter);
  if (others.length > 0) return { act: 'unload', adapters: others };
  if (missing) return { act: 'load', version: adapter };
  return { act: 'nothing' };
}
