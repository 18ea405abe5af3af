export interface BackOff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/**
 * How long to wait before trying again: a random part of a bound that doubles with every failure, so that the agents of
 * a fleet do not come back all at once.
 */
export function backOff(failures: number, { firstMs, maxMs }: BackOff, random = Math.random): number {
  return random() * Math.min(maxMs, firstMs * 2 ** Math.max(0, failures - 1));
}
