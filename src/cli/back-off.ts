const FIRST_MS = 100;
const MOST_MS = 2000;

/**
 * How long to stay away from an address after so many failures in a row: any time up to a bound that doubles ("full
 * jitter", so that those who failed together do not come back together), and at least what the answer asked for.
 * @param random from 0 to 1
 */
export function backOffMs(failures: number, afterMs: number, random: number): number {
  const bound = Math.min(MOST_MS, FIRST_MS * 2 ** (failures - 1));
  return Math.max(afterMs, random * bound);
}
