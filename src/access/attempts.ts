import { isIPv6 } from 'node:net';

const WHILE_MS = 60_000;
const ATTEMPTS_MAX = 120;
const NETWORKS_MAX = 10_000;

/** Counts tokens that were not good, by the network they came from. Tokens that are good are never counted. Pure. */
export class Attempts {
  private readonly failed = new Map<string, number>();
  private until = 0;

  /**
   * Notes one more.
   * @param now `performance.now()`
   * @returns undefined, or for how many seconds there have been enough of them
   */
  fail(address: string, now: number): number | undefined {
    if (now >= this.until) {
      this.failed.clear();
      this.until = now + WHILE_MS;
    }
    const network = networkOf(address);
    const count = (this.failed.get(network) ?? 0) + 1;
    if (this.failed.size < NETWORKS_MAX || count > 1) this.failed.set(network, count);
    return count > ATTEMPTS_MAX ? Math.ceil((this.until - now) / 1000) : undefined;
  }
}

/** Whoever has one address of IPv6 has 2^64 of them. */
function networkOf(address: string): string {
  if (!isIPv6(address) || address.includes('.')) return address;
  const [front = '', back] = address.split('::');
  const groups = front === '' ? [] : front.split(':');
  const behind = back === undefined || back === '' ? [] : back.split(':');
  while (back !== undefined && groups.length + behind.length < 8) groups.push('0');
  return [...groups, ...behind].slice(0, 4).join(':');
}
