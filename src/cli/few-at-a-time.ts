/** Fewer than the listeners of Ctrl-C that Node takes for a leak. */
const AT_ONCE = 8;

/** Does something for each, a few at a time: thousands of fleets must not become thousands of connections. */
export async function fewAtATime<T>(all: readonly T[], act: (each: T) => Promise<void>): Promise<void> {
  // One iterator for all: each takes what is left.
  const rest = all.values();
  const takeTurns = async (): Promise<void> => {
    for (const each of rest) await act(each);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, takeTurns));
}
