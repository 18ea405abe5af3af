import pg from 'pg';

import { LogUnavailable } from '../lora/domain/errors.js';
import { type BatchAnswer, decideBatch, toParameter, type Verdict, verdicts } from './batch.js';
import { isStatementError, LogConnection, type LogSession } from './log-connection.js';
import { LaneQueue, type Pending } from './lane-queue.js';
import { appendBatchSize, appendConflicts, appendSeconds } from './log-metrics.js';
import type { LogMemory, LogSince, LogSnapshot } from './log-memory.js';
import type { ReadIndex } from './read-index.js';
import type { Outcome, Submission } from './submission.js';

/** A batch under way for longer than this may be hanging: a kill does not wait for it. */
const HANGING_MS = 150;
const STATEMENT_TIMEOUT_MS = 1500;
/** By then the server's own time-out has not come back: the connection swallows everything. */
const HOPELESS_MS = 1800;
/** With less than this left, a command that the server has given up is not sent again. */
const LAST_TRY_MS = 500;
/** After a conflict with another replica the head is locked first for so long: the next batch would conflict too. */
const CONTENDED_MS = 500;
const RECONNECT_PAUSE_MS = 50;

interface Flight {
  /** Those whose deadline comes before they are sent are left out. */
  batch: readonly Pending[];
  readonly connection: LogConnection;
  readonly startedAt: number;
  /** Whether what is under way could commit. */
  sent: boolean;
}

/**
 * The one way into the log for this replica. Commands that arrive while a commit is under way form the next batch,
 * which is decided in memory and sent in one round trip; the log checks what it was decided on. Kills are picked
 * first when a batch is filled. Where the memory keeps being behind, the
 * head is locked first. An answer comes by the submission's deadline, whatever the database does.
 */
export class AppendLane {
  private readonly queue = new LaneQueue();
  private readonly flights = new Set<Flight>();
  /** The second one is the warm spare: for a kill while the first hangs, and after a cut. */
  private readonly connections: readonly LogConnection[];
  private arrivals = 0;
  private closed = false;
  private contendedUntil = 0;
  /** Whether the last batch was of more than one command. */
  private crowded = false;
  private gathering: NodeJS.Immediate | undefined;
  private nudge: NodeJS.Timeout | undefined;

  constructor(
    connectionString: () => string,
    private readonly memory: LogMemory,
    private readonly readIndex: ReadIndex,
  ) {
    this.connections = ['lane', 'spare lane'].map(
      (name) => new LogConnection(connectionString, { name, statementTimeoutMs: STATEMENT_TIMEOUT_MS }),
    );
  }

  warm(): void {
    for (const connection of this.connections) connection.warm();
  }

  /** Gives up connections on which nothing is under way: the network may have swallowed them without a word. */
  renew(): void {
    const busy = [...this.flights].map(({ connection }) => connection);
    for (const connection of this.connections) if (!busy.includes(connection)) connection.cut();
  }

  /**
   * @throws Refusal when the command is refused on the committed state
   * @throws LogUnavailable when the log did not answer in time
   */
  submit(submission: Submission): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const pending: Pending = {
        submission,
        ids: new Map(),
        arrival: this.arrivals++,
        conflicts: 0,
        alone: false,
        uncertain: false,
        settled: false,
        settle: (result) => {
          if (pending.settled) return;
          pending.settled = true;
          clearTimeout(timer);
          if (result instanceof Error) reject(result);
          else resolve(result);
        },
      };
      const timer = setTimeout(
        () => {
          this.giveUp(pending);
        },
        Math.max(0, submission.deadline - performance.now()),
      );
      this.queue.add([pending]);
      this.gather();
    });
  }

  /** Lets what is under way end, for up to the longest deadline. */
  async close(): Promise<void> {
    while (this.flights.size > 0 || this.queue.length > 0)
      await new Promise((resume) => setTimeout(resume, 5));
    this.closed = true;
    clearTimeout(this.nudge);
    await Promise.all(this.connections.map((connection) => connection.close()));
  }

  /** Where commands come in crowds, what arrives together goes together. */
  private gather(): void {
    if (!this.crowded) {
      this.pump();
      return;
    }
    this.gathering ??= setImmediate(() => {
      this.gathering = undefined;
      this.pump();
    });
  }

  private pump(): void {
    if (this.closed || this.queue.length === 0) return;
    const [flight, another] = this.flights;
    if (another) return;
    if (!flight) {
      this.launch(this.queue.takeBatch());
      return;
    }
    if (!this.queue.hasKill) return;
    const age = performance.now() - flight.startedAt;
    if (age >= HANGING_MS) {
      this.launch(this.queue.takeKills());
    } else {
      clearTimeout(this.nudge);
      this.nudge = setTimeout(() => {
        this.pump();
      }, HANGING_MS - age);
    }
  }

  private launch(batch: readonly Pending[]): void {
    const busy = [...this.flights].map(({ connection }) => connection);
    const connection = this.connections.find((each) => !busy.includes(each));
    if (!connection) throw new Error('There are never more batches under way than connections.');
    const flight: Flight = { batch, connection, startedAt: performance.now(), sent: false };
    this.flights.add(flight);
    this.crowded = batch.length > 1;
    const rescue = setTimeout(() => {
      this.rescue(flight);
    }, HANGING_MS);
    const hopeless = setTimeout(() => {
      connection.cut();
    }, HOPELESS_MS);
    void this.fly(flight).finally(() => {
      clearTimeout(rescue);
      clearTimeout(hopeless);
      this.flights.delete(flight);
      // Nobody waits any more for one that hangs and whose kills have come in by the other.
      for (const other of this.flights) {
        if (other.batch.every(({ settled }) => settled)) other.connection.cut();
      }
      this.pump();
    });
  }

  /**
   * A batch that hangs may hang for its connection's sake: its kills go out once more on the other one. They are the
   * same events under the same keys, so whichever comes second is found a duplicate.
   */
  private rescue(flight: Flight): void {
    const kills = flight.batch.filter(({ submission, settled }) => submission.isKill && !settled);
    if (kills.length > 0 && this.flights.size === 1) this.launch(kills);
  }

  /** Another flight that may still bring this command into the log. */
  private alsoOn(pending: Pending, flight: Flight): boolean {
    return [...this.flights].some((other) => other !== flight && other.batch.includes(pending));
  }

  private async fly(flight: Flight): Promise<void> {
    try {
      if (this.memory.logId === undefined) await this.readIndex.confirm();
      const patience = flight.batch.some(({ submission }) => submission.isKill) ? 1 : 2;
      const lockFirst =
        performance.now() < this.contendedUntil ||
        flight.batch.some(({ conflicts }) => conflicts >= patience);
      const outcomes = lockFirst ? await this.lockThenAppend(flight) : await this.append(flight);
      const { batch } = flight;
      appendSeconds.observe((performance.now() - flight.startedAt) / 1000);
      appendBatchSize.observe(batch.length);
      batch.forEach((pending, index) => {
        this.conclude(flight, pending, outcomes[index] ?? 'retry');
      });
    } catch (error) {
      await this.recover(flight, error);
    }
  }

  private conclude(flight: Flight, pending: Pending, verdict: Verdict): void {
    if (verdict === 'conflict') {
      pending.conflicts++;
      appendConflicts.inc();
    }
    if (verdict !== 'conflict' && verdict !== 'retry') pending.settle(verdict);
    else if (!this.alsoOn(pending, flight)) this.queue.add([pending]);
  }

  /** Optimistic: decided on the memory, in one round trip. */
  private async append(flight: Flight): Promise<Verdict[]> {
    const session = await flight.connection.session();
    const { batch, decided } = this.decide(flight);
    const known = this.memory.position;
    const answer = await session.query<BatchAnswer>('select append_batch($1, $2, $3) as answer', [
      toParameter(batch, decided),
      this.memory.logId,
      known,
    ]);
    if (answer.since) this.contendedUntil = performance.now() + CONTENDED_MS;
    const outcomes = answer.results
      ? verdicts(batch, decided, answer.results, this.memory)
      : batch.map((): Verdict => 'conflict');
    if (answer.since && this.memory.absorb(known, answer.since) === 'reload') await this.readIndex.confirm();
    flight.sent = false;
    return outcomes;
  }

  /** Pessimistic: nobody can get in between, at the price of two more round trips. */
  private async lockThenAppend(flight: Flight): Promise<Verdict[]> {
    const session = await flight.connection.session();
    const asked = this.memory.position;
    const [, locked] = await session.run(`begin; select lock_head(${asked}) as answer`);
    const { answer: missed } = locked?.rows[0] as { answer: LogSince };
    if (missed.rows.length > 0) this.contendedUntil = performance.now() + CONTENDED_MS;
    await this.catchUp(session, asked, missed);
    this.topUp(flight);
    const { batch, decided } = this.decide(flight);
    const entries = pg.escapeLiteral(toParameter(batch, decided));
    // One round trip: every one more is time that all other replicas wait.
    const [appended, commit] = await session.run(`select append_batch(${entries}) as answer; commit`);
    flight.sent = false;
    const { results } = (appended?.rows[0] as { answer: BatchAnswer }).answer;
    if (commit?.command !== 'COMMIT' || !results) throw new Error('The log rolled a batch back.');
    return verdicts(batch, decided, results, this.memory);
  }

  /** While the lock was waited for, more have come. */
  private topUp(flight: Flight): void {
    if (flight.batch.some(({ alone }) => alone)) return;
    flight.batch = this.queue.fill(flight.batch);
    this.crowded = flight.batch.length > 1;
  }

  /** From here on it may happen; whoever was told by now that nothing happened is left out. */
  private decide(flight: Flight): { batch: readonly Pending[]; decided: ReturnType<typeof decideBatch> } {
    const batch = flight.batch.filter(({ settled }) => !settled);
    flight.batch = batch;
    flight.sent = true;
    return { batch, decided: decideBatch(batch, this.memory) };
  }

  private async catchUp(session: LogSession, asked: number, first: LogSince): Promise<void> {
    let since = first;
    for (;;) {
      if (this.memory.absorb(asked, since) === 'reload') {
        this.memory.load(await session.query<LogSnapshot>('select log_snapshot() as answer'));
        return;
      }
      if (this.memory.position >= since.position) return;
      asked = this.memory.position;
      since = await session.query<LogSince>('select log_since($1) as answer', [asked]);
    }
  }

  private async recover(flight: Flight, error: unknown): Promise<void> {
    const { batch, connection } = flight;
    if (isStatementError(error)) {
      // The server has undone it, so nothing is uncertain. A time-out is nobody's fault; else find whose it is.
      await connection.run('rollback').catch(() => undefined);
      const timedOut = error.code === '57014';
      const only = batch.filter((pending) => !this.alsoOn(pending, flight));
      for (const pending of only) {
        // Another try could not end before the deadline, and its outcome would be unknown: this one's is known.
        const late = timedOut && pending.submission.deadline - performance.now() < LAST_TRY_MS;
        if (late) pending.settle(tooLate(pending.submission.key, pending.uncertain));
        else if (timedOut || batch.length > 1) pending.alone = !timedOut;
        else pending.settle(refusedByLog(pending, error));
      }
      this.queue.add(only);
      return;
    }
    // The connection is gone, or what was decided is of no use. The same events go out again on another
    // connection; their keys tell whether they had arrived.
    if (flight.sent) for (const pending of batch) pending.uncertain = true;
    connection.cut();
    connection.warm();
    this.queue.add(batch.filter((pending) => !this.alsoOn(pending, flight)));
    await new Promise((resume) => setTimeout(resume, RECONNECT_PAUSE_MS));
  }

  /** The deadline has come. What hangs is cut off; the others of the batch go out again. */
  private giveUp(pending: Pending): void {
    const flights = [...this.flights].filter(({ batch }) => batch.includes(pending));
    const mayHaveHappened = pending.uncertain || flights.some(({ sent }) => sent);
    pending.settle(tooLate(pending.submission.key, mayHaveHappened));
    this.queue.remove(pending);
    for (const { connection, startedAt } of flights) {
      if (performance.now() - startedAt >= HANGING_MS) connection.cut();
    }
  }
}

function tooLate(key: string, mayHaveHappened: boolean): LogUnavailable {
  const what = mayHaveHappened
    ? 'Whether the command took effect is unknown: send it again with the same Idempotency-Key.'
    : 'Nothing was changed. Send the command again.';
  return new LogUnavailable(
    `The log did not answer in time. ${what}`,
    mayHaveHappened ? 'unknown' : 'none',
    key,
  );
}

function refusedByLog({ submission: { key }, uncertain }: Pending, cause: Error): LogUnavailable {
  const what = uncertain
    ? 'Whether an earlier try took effect is unknown: send the command again with the same Idempotency-Key.'
    : 'Nothing was changed.';
  const outcome = uncertain ? 'unknown' : 'none';
  return new LogUnavailable(`The log cannot take the command now. ${what}`, outcome, key, { cause });
}
