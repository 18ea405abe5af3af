import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';

import { Database } from '../database/database.js';
import { LogConnection } from '../event-store/log-connection.js';
import { LogUnavailable } from '../lora/domain/errors.js';
import { killAcknowledgedSeconds } from './engine-metrics.js';
import type { ReportBody } from './engines.dto.js';

/** What `report_engines` answers. */
interface Stored {
  /** By engine, the fleet in which it stands registered; empty: in none. */
  readonly fleets: Readonly<Record<string, string>>;
  readonly completed: readonly { readonly fleet: string; readonly seconds: number }[];
}

interface Waiting {
  readonly fleet: string;
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
  private readonly waiting = new Map<string, Waiting>();
  private readonly listeners = new Set<() => void>();
  private storing: Promise<void> | undefined;

  constructor(private readonly database: Database) {}

  /**
   * Stores a report; of several that wait of one engine the last counts.
   * @returns the fleet in which the engine stands registered; empty when there is no such fleet
   * @throws LogUnavailable when it was not stored in time
   */
  store(engine: string, fleet: string, report: ReportBody): Promise<string> {
    return new Promise((resolve, reject) => {
      const tell = (result: string | Error): void => {
        if (result instanceof Error) reject(result);
        else resolve(result);
      };
      const before = this.waiting.get(engine);
      this.waiting.set(engine, { fleet, report, tellers: [...(before?.tellers ?? []), tell] });
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
      const batch = [...this.waiting].slice(0, BATCH_MAX);
      for (const [engine] of batch) this.waiting.delete(engine);
      try {
        const { fleets, completed } = await this.send(batch);
        for (const { seconds } of completed) killAcknowledgedSeconds.observe(seconds);
        for (const [engine, { tellers }] of batch) for (const tell of tellers) tell(fleets[engine] ?? '');
      } catch (error) {
        const failure = new LogUnavailable('The report could not be stored.', undefined, undefined, {
          cause: error,
        });
        for (const [, { tellers }] of batch) for (const tell of tellers) tell(failure);
      }
      for (const listener of this.listeners) listener();
    }
  }

  private async send(batch: readonly [string, Waiting][]): Promise<Stored> {
    const reports = batch.map(([engine, { fleet, report }]) => ({ engine, fleet, report }));
    const hopeless = setTimeout(() => {
      this.connection.cut();
    }, HOPELESS_MS);
    try {
      return await this.connection.query<Stored>('select report_engines($1) as answer', [
        JSON.stringify(reports),
      ]);
    } finally {
      clearTimeout(hopeless);
    }
  }
}
