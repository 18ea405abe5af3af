/**
 * When an act may be tried again. What an engine refuses, and what it says to have done and has not, is asked for ever
 * more seldom, but never given up.
 */
export class Attempts {
  private readonly made = new Map<string, { count: number; next: number }>();

  constructor(
    private readonly firstMs: number,
    private readonly maxMs: number,
  ) {}

  isDue(act: string, now: number): boolean {
    return now >= (this.made.get(act)?.next ?? -Infinity);
  }

  add(act: string, now: number): void {
    const count = this.made.get(act)?.count ?? 0;
    this.made.set(act, { count: count + 1, next: now + Math.min(this.maxMs, this.firstMs * 2 ** count) });
  }

  /** Forgets all acts but those still to be done. */
  keep(acts: ReadonlySet<string>): void {
    for (const act of this.made.keys()) if (!acts.has(act)) this.made.delete(act);
  }

  clear(): void {
    this.made.clear();
  }

  /** Milliseconds until the next one is due; Infinity when none will be. Those that are due already do not count. */
  untilNext(now: number): number {
    return Math.min(...[...this.made.values()].map(({ next }) => (next > now ? next - now : Infinity)));
  }
}
