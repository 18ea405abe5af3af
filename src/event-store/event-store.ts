import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';

import { Database } from '../database/database.js';
import { AppendLane, type Outcome, type Submission } from './append-lane.js';

const PROBE_MS = 500;

/** The way into the log. */
@Injectable()
export class EventStore implements BeforeApplicationShutdown {
  private readonly lane = new AppendLane(() => this.database.serviceUrl);

  constructor(private readonly database: Database) {}

  /**
   * Appends what a command decides, atomically and durably, or tells why not.
   * @throws Refusal on the committed state; nothing was appended
   * @throws LogUnavailable by the submission's deadline; its outcome says whether something may have been appended
   */
  append(submission: Submission): Promise<Outcome> {
    return this.lane.submit(submission);
  }

  /** Whether this replica could take a kill now: tries the head's lock, with a bound, and lets it go. */
  async canAppend(): Promise<boolean> {
    const runner = this.database.dataSource.createQueryRunner();
    try {
      await runner.startTransaction();
      await runner.query(`set local statement_timeout = ${PROBE_MS}`);
      await runner.query("select lock_head('{}')");
      return true;
    } catch {
      return false;
    } finally {
      await runner.rollbackTransaction().catch(() => undefined);
      await runner.release();
    }
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.lane.close();
  }
}
