import { type Airspace, Flight } from './flight.js';
import { isStatementError, LogConnection } from './log-connection.js';
import { LaneQueue, type Pending } from './lane-queue.js';
import { appendBatchSize, appendConflicts, appendSeconds } from './log-metrics.js';
import type { LogMemory } from './log-memory.js';
import type { ReadIndex } from './read-index.js';
import type { Outcome, Submission } from './submission.js';
import { refusedByLog, tooLate } from './unavailable.js';
import type { Verdict } from './verdicts.js';

/** A batch under way for longer than this may be hanging: a kill does not wait for it. */
const HANGING_MS = 150;
const STATEMENT_TIMEOUT_MS = 1500;
/** By then the server's own time-out has not come back: the connection swallows everything. */
const HOPELESS_MS = 1800;
/** With less than this left, a command that hangs, or that the server has given up, is not sent again. */
const LAST_TRY_MS = 500;
/** After a conflict with another replica the head is locked first for so long: the next batch would conflict too. */
const CONTENDED_MS = 500;
const RECONNECT_PAUSE_MS = 50;

/**
 * The one way into the log for this replica. Commands that arrive while a commit is under way form the next batch,
 * which is decided in memory and sent in one round trip; the log checks what it was decided on. Kills are picked
 * first when a batch is filled; one does not wait for a batch that hangs. Where the memory keeps being behind, the head
 * is locked first. An answer comes by the submission's deadline, whatever the database does.
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
  private readonly airspace: Airspace;

  constructor(connectionString: () => string, memory: LogMemory, readIndex: ReadIndex) {
    this.airspace = { queue: this.queue, memory, readIndex };
    const settings = { statementTimeoutMs: STATEMENT_TIMEOUT_MS, keptOpen: true };
    this.connections = ['lane', 'spare lane'].map(
      (name) => new LogConnection(connectionString, { name, ...settings }),
    );
  }

  get isAppending(): boolean {
    return this.flights.size > 0;
  }

  /** Whether at least one way into the log opens, or is open. */
  opens(): Promise<boolean> {
    const sessions = this.connections.map((connection) => connection.session());
    return Promise.any(sessions).then(Boolean, () => false);
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
    if (this.closed) return;
    const [flight, another] = this.flights;
    if (another) return;
    if (!flight) {
      const batch = this.queue.takeBatch();
      if (batch.length > 0) this.launch(batch);
      return;
    }
    if (!flight.hanging) return;
    // Its connection may be at fault: its kills go out once more on the other one, with those that wait. They are the
    // same events under the same keys, so whichever comes second is found a duplicate.
    const kills = this.queue.takeKills(heldUp(flight));
    if (kills.length > 0) this.launch(kills);
  }

  private launch(batch: readonly Pending[]): void {
    const busy = [...this.flights].map(({ connection }) => connection);
    const free = this.connections.filter((each) => !busy.includes(each));
    const connection = free.find(({ isOpen }) => isOpen) ?? free[0];
    if (!connection) throw new Error('There are never more batches under way than connections.');
    const flight = new Flight(batch, connection, this.airspace);
    this.flights.add(flight);
    const hanging = setTimeout(() => {
      flight.hanging = true;
      this.pump();
    }, HANGING_MS);
    const hopeless = setTimeout(() => {
      connection.cut();
    }, HOPELESS_MS);
    void this.carry(flight).finally(() => {
      clearTimeout(hanging);
      clearTimeout(hopeless);
      this.land(flight);
    });
  }

  private async carry(flight: Flight): Promise<void> {
    try {
      const patience = flight.batch.some(({ submission }) => submission.isKill) ? 1 : 2;
      const lockFirst =
        performance.now() < this.contendedUntil ||
        flight.batch.some(({ conflicts }) => conflicts >= patience);
      const outcomes = await flight.fly(lockFirst);
      const { batch } = flight;
      this.crowded = batch.length > 1;
      appendSeconds.observe((performance.now() - flight.startedAt) / 1000);
      appendBatchSize.observe(batch.length);
      batch.forEach((pending, index) => {
        conclude(pending, outcomes[index] ?? 'retry');
      });
    } catch (error) {
      await this.recover(flight, error);
    }
    if (flight.behind) this.contendedUntil = performance.now() + CONTENDED_MS;
  }

  /** What has no answer yet goes out again, unless another flight may still bring it one. */
  private land(flight: Flight): void {
    this.flights.delete(flight);
    const others = [...this.flights];
    this.queue.add(flight.batch.filter((pending) => !others.some(({ batch }) => batch.includes(pending))));
    // Nobody waits any more for one that hangs and whose kills have come in by the other.
    for (const { batch, connection } of others) if (batch.every(({ settled }) => settled)) connection.cut();
    this.pump();
  }

  private async recover(flight: Flight, error: unknown): Promise<void> {
    const { batch, connection } = flight;
    for (const pending of batch) pending.cause = error;
    if (isStatementError(error)) {
      // The server has undone it, so nothing is uncertain. A time-out is nobody's fault; else find whose it is.
      await connection.run('rollback').catch(() => undefined);
      const timedOut = error.code === '57014';
      for (const pending of batch) {
        if (this.isOnAnother(pending, flight)) continue;
        if (timedOut && !hasTimeToTry(pending)) pending.settle(tooLate(pending, pending.uncertain));
        else if (timedOut || batch.length > 1) pending.alone = !timedOut;
        else pending.settle(refusedByLog(pending, error));
      }
      return;
    }
    // The connection is gone, or what was decided is of no use. The same events go out again on another
    // connection; their keys tell whether they had arrived.
    if (flight.mayCommit) for (const pending of batch) pending.uncertain = true;
    connection.cut();
    connection.warm();
    await new Promise((resume) => setTimeout(resume, RECONNECT_PAUSE_MS));
  }

  private isOnAnother(pending: Pending, flight: Flight): boolean {
    return [...this.flights].some((other) => other !== flight && other.batch.includes(pending));
  }

  /** The deadline has come. What hangs is cut off; the others of the batch go out again. */
  private giveUp(pending: Pending): void {
    const flights = [...this.flights].filter(({ batch }) => batch.includes(pending));
    const mayHaveHappened = pending.uncertain || flights.some(({ mayCommit }) => mayCommit);
    pending.settle(tooLate(pending, mayHaveHappened));
    this.queue.remove(pending);
    for (const { connection, hanging } of flights) if (hanging) connection.cut();
  }
}

function conclude(pending: Pending, verdict: Verdict): void {
  if (verdict === 'conflict') {
    pending.conflicts++;
    appendConflicts.inc();
  }
  if (verdict !== 'conflict' && verdict !== 'retry') pending.settle(verdict);
}

/** A try that could not end before the deadline would leave an unknown outcome, where that of the last one is known. */
function hasTimeToTry({ submission: { deadline } }: Pending): boolean {
  return deadline - performance.now() >= LAST_TRY_MS;
}

/** The kills that a hanging flight still holds up. */
function heldUp({ batch }: Flight): Pending[] {
  return batch.filter((each) => each.submission.isKill && !each.settled && hasTimeToTry(each));
}
