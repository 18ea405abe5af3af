import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';

import { Problem } from '../http/problem.js';
import { killAcknowledgedSeconds } from './engine-metrics.js';
import type { ReportBody } from './engines.dto.js';
import { type EngineReport, EnginesStore, type Reporter } from './engines.store.js';

/** What becomes of a report. */
export interface Standing {
  /** The fleet in which the engine stands registered; empty when there is no such fleet. */
  readonly fleet: string;
  /** Why the engine is in conflict, whatever its agent says; null when it is not. */
  readonly conflict: string | null;
}

interface Waiting extends EngineReport {
  readonly tellers: ((result: Standing | Error) => void)[];
}

const BATCH_MAX = 500;

/** Stores what agents report: what arrives while one batch is being stored forms the next one. */
@Injectable()
export class EngineReports implements BeforeApplicationShutdown {
  /** By engine, owner and agent. */
  private readonly waiting = new Map<string, Waiting>();
  private readonly listeners = new Set<() => void>();
  private storing: Promise<void> | undefined;

  constructor(private readonly engines: EnginesStore) {}

  /**
   * Stores a report; of several that wait of one agent the last counts.
   * @throws Problem 403 when the engine belongs to somebody else, LogUnavailable when it was not stored in time
   */
  store(engine: string, fleet: string, report: ReportBody, reporter: Reporter): Promise<Standing> {
    return new Promise((resolve, reject) => {
      const tell = (result: Standing | Error): void => {
        if (result instanceof Error) reject(result);
        else resolve(result);
      };
      const key = JSON.stringify([engine, reporter.owner, report.instance_id]);
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
    await this.engines.close();
  }

  private async storeAll(): Promise<void> {
    // Those that arrive in one turn of the loop go together.
    await new Promise((resume) => setImmediate(resume));
    while (this.waiting.size > 0) {
      const batch = this.nextBatch();
      try {
        const { fleets, others, contended, completed } = await this.engines.report(batch);
        for (const { seconds } of completed) killAcknowledgedSeconds.observe(seconds);
        for (const { engine, tellers } of batch) {
          const standing = { fleet: fleets[engine] ?? '', conflict: contended[engine] ?? null };
          const result = others.includes(engine) ? ofSomebodyElse(engine) : standing;
          for (const tell of tellers) tell(result);
        }
      } catch (error) {
        for (const { tellers } of batch) for (const tell of tellers) tell(error as Error);
      }
      for (const listener of this.listeners) listener();
    }
  }

  /** Of each engine one report at most: two owners or agents may contend for it. */
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
}

/** What somebody hears who would act on the engine of another one. */
export function ofSomebodyElse(engine: string): Problem {
  return new Problem('forbidden', `Engine ${engine} belongs to another token.`);
}
