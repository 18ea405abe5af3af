import { setTimeout as pause } from 'node:timers/promises';

const AGAIN_MS = 1000;
/** How long the end of the service waits for what is still to be written. */
const LAST_MS = 1000;

/** Writes what nobody waits for, one after the other, and again while the database does not take it. */
export class LateWrites {
  private readonly stopped = new AbortController();
  private writing: Promise<void> | undefined;

  /**
   * @param next writes what is to be written next, and then no longer counts it; undefined: there is nothing
   * @param gatherMs how long more may come before the first is written
   */
  constructor(
    private readonly next: () => Promise<void> | undefined,
    private readonly gatherMs = 0,
  ) {}

  /** There is something to write. */
  begin(): void {
    this.writing ??= this.write();
  }

  /** Tries once more, and then no longer. */
  async end(): Promise<void> {
    this.stopped.abort();
    await Promise.race([this.writing, pause(LAST_MS, undefined, { ref: false })]);
  }

  private async write(): Promise<void> {
    await this.wait(this.gatherMs);
    for (let write = this.next(); write !== undefined; write = this.next()) {
      try {
        await write;
      } catch {
        // Whatever it is, the database's outage is told elsewhere.
        if (this.stopped.signal.aborted) break;
        await this.wait(AGAIN_MS);
      }
    }
    this.writing = undefined;
  }

  private wait(ms: number): Promise<void> {
    return pause(ms, undefined, { signal: this.stopped.signal, ref: false }).catch(() => undefined);
  }
}
