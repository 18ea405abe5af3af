import { LogUnavailable } from '../lora/domain/errors.js';
import { readIndexReads, readIndexSeconds } from './log-metrics.js';
import type { LogConnection } from './log-connection.js';
import { LOG_SNAPSHOT, type LogSince, type LogSnapshot } from './log-answers.js';
import type { LogMemory } from './log-memory.js';

/** A question to the log that has not been answered for so long never will be. */
const ANSWER_TIMEOUT_MS = 1000;

/**
 * The read index of etcd: a linearizable read waits for a confirmation that STARTED after the read arrived. One
 * query serves all who were waiting when it started, and brings the events that this replica misses. Joining a
 * query that is already under way would give stale reads.
 */
export class ReadIndex {
  private waiting: Promise<void> | undefined;
  private underWay: Promise<void> | undefined;
  private last: { readonly startedAt: number; readonly time: Date } | undefined;

  constructor(
    private readonly connection: LogConnection,
    private readonly memory: LogMemory,
    /** The log has not answered: other connections may have been swallowed too. */
    private readonly onSilence: () => void,
  ) {}

  /** When the last successful confirmation started, by `performance.now()` and by the clock. */
  get lastConfirmed(): { readonly startedAt: number; readonly time: Date } | undefined {
    return this.last;
  }

  /**
   * After it, the memory reflects every command that had been acknowledged anywhere when this was called.
   * @throws LogUnavailable when the log does not answer within a second
   */
  confirm(): Promise<void> {
    readIndexReads.inc();
    this.waiting ??= this.afterTheOneUnderWay();
    return this.waiting;
  }

  private async afterTheOneUnderWay(): Promise<void> {
    await this.underWay?.catch(() => undefined);
    // All who came until now are served by the query that starts here.
    this.underWay = this.waiting;
    this.waiting = undefined;
    const started = { startedAt: performance.now(), time: new Date() };
    const timer = setTimeout(() => {
      this.connection.cut();
      this.onSilence();
    }, ANSWER_TIMEOUT_MS);
    try {
      await this.catchUp();
      this.last = started;
      readIndexSeconds.observe((performance.now() - started.startedAt) / 1000);
    } catch (error) {
      throw new LogUnavailable('The log cannot be read now.', undefined, undefined, { cause: error });
    } finally {
      clearTimeout(timer);
      this.underWay = undefined;
    }
  }

  private async catchUp(): Promise<void> {
    if (this.memory.logId === undefined) await this.load();
    for (;;) {
      const { position: asked, seenUpTo } = this.memory;
      const since = await this.connection.query<LogSince>('select log_since($1) as answer', [asked]);
      if (this.memory.absorb(asked, since, seenUpTo) === 'reload') {
        await this.load();
        return;
      }
      if (this.memory.position >= since.position) return;
    }
  }

  private async load(): Promise<void> {
    this.memory.load(await this.connection.query<LogSnapshot>(LOG_SNAPSHOT));
  }
}
