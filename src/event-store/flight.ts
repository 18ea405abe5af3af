import pg from 'pg';

import { type Decided, decideBatch, toParameter } from './batch.js';
import type { LaneQueue, Pending } from './lane-queue.js';
import { type BatchAnswer, LOG_SNAPSHOT, type LogSince, type LogSnapshot } from './log-answers.js';
import type { LogConnection, LogSession } from './log-connection.js';
import type { LogMemory } from './log-memory.js';
import type { ReadIndex } from './read-index.js';
import { type Verdict, verdicts } from './verdicts.js';

/** What flights have in common. */
export interface Airspace {
  readonly queue: LaneQueue;
  readonly memory: LogMemory;
  readonly readIndex: ReadIndex;
}

/** A batch on its way to the log and back. */
export class Flight {
  readonly startedAt = performance.now();
  /** Whether what is under way could commit. */
  mayCommit = false;
  /** Under way for so long that its connection, or the log, may be hanging. */
  hanging = false;
  /** Whether the log was found further than this replica knew. */
  behind = false;

  constructor(
    private current: readonly Pending[],
    readonly connection: LogConnection,
    private readonly airspace: Airspace,
  ) {}

  /** Its commands; those whose deadline comes before they are sent are left out. */
  get batch(): readonly Pending[] {
    return this.current;
  }

  /**
   * Appends the batch.
   * @param lockFirst lock the head before deciding: nobody can get in between, at the price of one more round trip
   * @returns what became of each command of `batch`
   */
  async fly(lockFirst: boolean): Promise<readonly Verdict[]> {
    if (this.airspace.memory.logId === undefined) await this.airspace.readIndex.confirm();
    const session = await this.connection.session();
    return lockFirst ? this.lockThenAppend(session) : this.append(session);
  }

  /** Optimistic: decided on the memory, in one round trip. */
  private async append(session: LogSession): Promise<readonly Verdict[]> {
    const { memory, readIndex } = this.airspace;
    const decided = this.decide();
    const { batch } = this;
    const known = memory.position;
    const entries = pg.escapeLiteral(toParameter(batch, decided));
    const logId = pg.escapeLiteral(memory.logId ?? '');
    // With the values in it, it is one message, and a good deal faster than parse, bind and execute.
    const [row] = await session.run(`select append_batch(${entries}, ${logId}, ${known}) as answer`);
    const { answer } = row?.rows[0] as { answer: BatchAnswer };
    this.behind = answer.since !== null;
    const outcomes = answer.results
      ? verdicts(batch, decided, answer.results, memory)
      : batch.map((): Verdict => 'conflict');
    if (answer.since && memory.absorb(known, answer.since) === 'reload') await readIndex.confirm();
    // Not before: an answer that was not taken in whole leaves its commands uncertain.
    this.mayCommit = false;
    return outcomes;
  }

  private async lockThenAppend(session: LogSession): Promise<readonly Verdict[]> {
    const { memory } = this.airspace;
    const asked = memory.position;
    const [, locked] = await session.run(`begin; select lock_head(${asked}) as answer`);
    const { answer: missed } = locked?.rows[0] as { answer: LogSince };
    this.behind = missed.rows.length > 0;
    await this.catchUp(session, asked, missed);
    this.topUp();
    const decided = this.decide();
    const { batch } = this;
    const entries = pg.escapeLiteral(toParameter(batch, decided));
    // One round trip: every one more is time that all other replicas wait.
    const [appended, commit] = await session.run(`select append_batch(${entries}) as answer; commit`);
    // The server has told how it ended.
    this.mayCommit = false;
    const { results } = (appended?.rows[0] as { answer: BatchAnswer }).answer;
    if (commit?.command !== 'COMMIT' || !results) throw new Error('The log rolled a batch back.');
    return verdicts(batch, decided, results, memory);
  }

  private async catchUp(session: LogSession, asked: number, first: LogSince): Promise<void> {
    const { memory } = this.airspace;
    let since = first;
    for (;;) {
      if (memory.absorb(asked, since) === 'reload') {
        memory.load(await session.query<LogSnapshot>(LOG_SNAPSHOT));
        return;
      }
      if (memory.position >= since.position) return;
      asked = memory.position;
      since = await session.query<LogSince>('select log_since($1) as answer', [asked]);
    }
  }

  /** While the lock was waited for, more have come. */
  private topUp(): void {
    if (this.current.some(({ alone }) => alone)) return;
    this.current = this.airspace.queue.fill(this.current);
  }

  /** From here on it may happen; whoever was told by now that nothing happened is left out. */
  private decide(): Decided[] {
    this.current = this.current.filter(({ settled }) => !settled);
    this.mayCommit = true;
    return decideBatch(this.current, this.airspace.memory);
  }
}
