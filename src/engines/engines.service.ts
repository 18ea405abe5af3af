import { Injectable } from '@nestjs/common';

import { EventStore } from '../event-store/event-store.js';
import { Problem } from '../http/problem.js';
import { unknownFleet } from '../lora/domain/errors.js';
import { EngineReports } from './engine-reports.js';
import type { EngineBody, EnginePageBody, ReportBody, ReportTakenBody } from './engines.dto.js';
import { EnginesStore } from './engines.store.js';

/** The register of engines. */
@Injectable()
export class EnginesService {
  constructor(
    private readonly reports: EngineReports,
    private readonly engines: EnginesStore,
    private readonly events: EventStore,
  ) {}

  /**
   * Takes a report; the first one registers the engine.
   * @throws Problem 409 when the engine stands registered in another fleet, Refusal `unknown-fleet`, LogUnavailable
   */
  async report(id: string, fleet: string, report: ReportBody): Promise<ReportTakenBody> {
    const standsIn = await this.reports.store(id, fleet, report);
    if (standsIn === '') throw unknownFleet(fleet, this.events.memory.names());
    if (standsIn !== fleet) {
      const detail =
        `Engine ${id} stands registered in fleet ${standsIn}. Give this one another id, ` +
        `or DELETE /engines/${id} when that one is gone.`;
      throw new Problem('engine-in-other-fleet', detail);
    }
    return { id, fleet, generation: this.events.memory.get(fleet)?.generation ?? null };
  }

  async page(fleet: string | null, after: string, limit: number): Promise<EnginePageBody> {
    const found = await this.engines.list({ fleet, id: null, after, limit: limit + 1 });
    const engines = found.slice(0, limit);
    return { engines, next_cursor: found.length > limit ? (engines.at(-1)?.id ?? null) : null };
  }

  /** @throws Problem 404 when no engine of that id stands registered */
  async one(id: string): Promise<EngineBody> {
    const [engine] = await this.engines.list({ fleet: null, id, after: '', limit: 1 });
    if (engine === undefined) throw noSuchEngine(id);
    return engine;
  }

  /** @throws Problem 404 when no engine of that id stands registered */
  async remove(id: string, actor: string): Promise<void> {
    if ((await this.engines.remove(id, actor)) === null) throw noSuchEngine(id);
  }
}

function noSuchEngine(id: string): Problem {
  return new Problem('unknown-engine', `No engine ${id} stands registered.`);
}
