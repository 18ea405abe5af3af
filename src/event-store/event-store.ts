import { setTimeout as pause } from 'node:timers/promises';

import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';

import { Database } from '../database/database.js';
import type { Histories } from '../lora/domain/histories.js';
import { AnswerReader } from './answer-reader.js';
import { AppendLane } from './append-lane.js';
import type { LogSince } from './log-answers.js';
import { LogConnection } from './log-connection.js';
import { LogFeed } from './log-feed.js';
import { type FleetSnapshot, LogMemory } from './log-memory.js';
import { ReadIndex } from './read-index.js';
import type { Outcome, Submission } from './submission.js';

const PROBE_MS = 500;
/** For the server's own time-out to come back. */
const PROBE_GRACE_MS = 100;

/** The log as this replica sees it: the way into it, and the newest state of every fleet in memory. */
@Injectable()
export class EventStore implements BeforeApplicationShutdown {
  readonly memory = new LogMemory();
  private readonly connectionString = (): string => this.database.serviceUrl;
  private readonly asking = new LogConnection(this.connectionString, {
    name: 'read index',
    statementTimeoutMs: 1000,
  });
  private readonly probing = new LogConnection(this.connectionString, {
    name: 'probe',
    statementTimeoutMs: PROBE_MS,
  });
  private readonly answering = new LogConnection(this.connectionString, {
    name: 'answers',
    statementTimeoutMs: 1000,
  });
  readonly answers = new AnswerReader(this.answering);
  readonly readIndex = new ReadIndex(this.asking, this.memory, () => {
    this.lane.renew();
    this.answering.cut();
  });
  readonly feed = new LogFeed(
    this.connectionString,
    this.memory,
    this.readIndex,
    this.asking,
    () => this.lane.isAppending,
  );
  private readonly lane = new AppendLane(this.connectionString, this.memory, this.readIndex);

  /** Histories that are being read; all who ask for those of one snapshot share the answer. */
  private readonly reading = new WeakMap<FleetSnapshot, Promise<Histories>>();
  private opened = false;
  private probe: Promise<boolean> | undefined;

  constructor(private readonly database: Database) {}

  /** Reads the log once, and follows it from then on. */
  async open(): Promise<void> {
    await this.readIndex.confirm();
    if (!this.opened) this.feed.start();
    this.opened = true;
    this.lane.warm();
  }

  /**
   * Appends what a command decides, atomically and durably, or tells why not.
   * @throws Refusal on the committed state; nothing was appended
   * @throws LogUnavailable by the submission's deadline; its outcome says whether something may have been appended
   */
  append(submission: Submission): Promise<Outcome> {
    return this.lane.submit(submission);
  }

  /** The histories of a fleet as of a snapshot, from memory where it has them. */
  historiesOf(snapshot: FleetSnapshot): Promise<Histories> {
    if (snapshot.histories) return Promise.resolve(snapshot.histories);
    const underWay = this.reading.get(snapshot) ?? this.readHistories(snapshot);
    this.reading.set(snapshot, underWay);
    return underWay;
  }

  private async readHistories(snapshot: FleetSnapshot): Promise<Histories> {
    const { fleet, generation } = snapshot;
    try {
      const read = await this.answers.histories(fleet, generation);
      // A kill that the log has lost is at a generation that the log gives to something else.
      if (!this.memory.wentBackwards) this.memory.learn(fleet, generation, read);
      return read;
    } finally {
      this.reading.delete(snapshot);
    }
  }

  /** Whether this replica could take a kill now: tries the head's lock, with a bound, and lets it go. */
  canAppend(): Promise<boolean> {
    // Those who ask at the same time get the same answer: a session does one thing at a time.
    this.probe ??= this.tryToLock().finally(() => (this.probe = undefined));
    return this.probe;
  }

  private async tryToLock(): Promise<boolean> {
    if (this.memory.isEmpty || this.memory.wentBackwards) return false;
    const opens = Promise.race([this.lane.opens(), pause(PROBE_MS, false, { ref: false })]);
    if (!(await opens)) return false;
    const cut = setTimeout(() => {
      this.probing.cut();
    }, PROBE_MS + PROBE_GRACE_MS);
    try {
      const asked = this.memory.position;
      const [, locked] = await this.probing.run(`begin; select lock_head(${asked}) as answer; rollback`);
      const { answer } = locked?.rows[0] as { answer: LogSince };
      // It may be the first to find that the log went backwards.
      if (this.memory.absorb(asked, answer) === 'reload') await this.readIndex.confirm();
      return !this.memory.wentBackwards;
    } catch {
      this.probing.cut();
      return false;
    } finally {
      clearTimeout(cut);
    }
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.lane.close();
    await this.feed.stop();
    await Promise.all([this.asking.close(), this.answering.close(), this.probing.close()]);
  }
}
