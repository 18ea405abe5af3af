import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';

import { Database } from '../database/database.js';
import { LogConnection } from '../event-store/log-connection.js';
import { Problem } from '../http/problem.js';
import { LogUnavailable } from '../lora/domain/errors.js';
import { killAcknowledgedSeconds } from './engine-metrics.js';
import type { ReportBody } from './engines.dto.js';

/** What `report_engines` answers. */
interface Stored {
  /** By engine, the fleet in which it stands registered; empty: in none. */
  readonly fleets: Readonly<Record<string, string>>;
  /** Engines whose report was not taken, because they belong to somebody else. */
  readonly others: readonly string[];
  readonly completed: readonly { readonly fleet: string; readonly seconds: number }[];
}

/** Who reports. */
export interface Reporter {
  /** Null where nobody is asked who calls. */
  readonly owner: string | null;
  /** Whether it may report its own engines only. */
  readonly onlyOwn: boolean;
}

interface Waiting {
  readonly engine: string;
  readonly fleet: string;
  readonly reporter: Reporter;
  readonly report: ReportBody;
  readonly tellers: ((fleet: string | Error) => void)[];
}

const BATCH_MAX = 500;
const STATEMENT_TIMEOUT_MS = 1000;
const HOPELESS_MS = 1500;

/** Stores what agents report: what arrives while one batch is being stored forms the next one. */
@Injectable()
export class EngineReports implements BeforeApplicationShutdown {
  private readonly connection = new LogConnection(() => this.database.serviceUrl, {
    name: 'engines',
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  });
  /** By engine and owner. */
  private readonly waiting = new Map<string, Waiting>();
  private readonly listeners = new Set<() => void>();
  private storing: Promise<void> | undefined;

  constructor(private readonly database: Database) {}

  /**
   * Stores a report; of several that wait of one engine and owner the last counts.
   * @returns the fleet in which the engine stands registered; empty when there is no such fleet
   * @throws Problem 403 when the engine belongs to somebody else, LogUnavailable when it was not stored in time
   */
  store(engine: string, fleet: string, report: ReportBody, reporter: Reporter): Promise<string> {
    return new Promise((resolve, reject) => {
      const tell = (result: string | Error): void => {
        if (result instanceof Error) reject(result);
        else resolve(result);
      };
      const key = JSON.stringify([engine, reporter.owner]);
      const tellers = [...(this.waiting.get(key)?.tellers ?? []), tell];
      this.waiting.set(key, { engine, fleet, report, reporter, tellers });
      this.storing ??= this.storeAll().finally(() => (this.storing = undefined));
    });
  }

  /** Calls back when reports have been stored here. @returns how to end it */
  onStored(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.storing;
    await this.connection.close();
  }

  private async storeAll(): Promise<void> {
    // Those that arrive in one turn of the loop go together.
    await new Promise((resume) => setImmediate(resume));
    while (this.waiting.size > 0) {
      const batch = this.nextBatch();
      try {
        const { fleets, others, completed } = await this.send(batch);
        for (const { seconds } of completed) killAcknowledgedSeconds.observe(seconds);
        for (const { engine, tellers } of batch) {
          const result = others.includes(engine) ? ofSomebodyElse(engine) : (fleets[engine] ?? '');
          for (const tell of tellers) tell(result);
        }
      } catch (error) {
        const failure = new LogUnavailable('The report could not be stored.', undefined, undefined, {
          cause: error,
        });
        for (const { tellers } of batch) for (const tell of tellers) tell(failure);
      }
      for (const listener of this.listeners) listener();
    }
  }

  /** Of each engine one report at most: two owners may contend for it. */
  private nextBatch(): Waiting[] {
    const batch = new Map<string, Waiting>();
    for (const [key, waiting] of this.waiting) {
      if (batch.size >= BATCH_MAX) break;
      if (batch.has(waiting.engine)) continue;
      batch.set(waiting.engine, waiting);
      this.waiting.delete(key);
    }
    return [...batch.values()];
  }

  private async send(batch: readonly Waiting[]): Promise<Stored> {
    const reports = batch.map(({ engine, fleet, report, reporter: { owner, onlyOwn } }) => {
      return { engine, fleet, report, owner, only_own: onlyOwn };
    });
    const sql = 'select report_engines_of($1) as answer';
    return this.connection.queryWithin<Stored>(HOPELESS_MS, sql, [JSON.stringify(reports)]);
  }
}

/** What somebody hears who would act on the engine of another one. */
export function ofSomebodyElse(engine: string): Problem {
  return new Problem('forbidden', `Engine ${engine} belongs to another token.`);
}
