/** Fewer than the listeners of Ctrl-C that Node takes for a leak. */
const AT_ONCE = 8;

/**
 * Does something for each, a few at a time: thousands of fleets must not become thousands of connections.
 * @returns what came of each, in their order
 */
export async function fewAtATime<T, R>(all: readonly T[], act: (each: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  // One iterator for all: each takes what is left.
  const rest = all.entries();
  const takeTurns = async (): Promise<void> => {
    for (const [index, each] of rest) results[index] = await act(each);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, takeTurns));
  return results;
}
