import { Injectable } from '@nestjs/common';

import { EventStore } from '../event-store/event-store.js';
import type { Caller } from '../http/caller.js';
import { checkFleet, fleetsAsked, type Identity, scopeOf } from '../http/identity.js';
import { pageOf } from '../http/page.js';
import { Problem } from '../http/problem.js';
import { LogUnavailable, UnknownFleet } from '../lora/domain/errors.js';
import { EngineReports, ofSomebodyElse } from './engine-reports.js';
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
   * @throws Problem 403 when the engine belongs to somebody else, 409 when the engine stands registered in another fleet, Refusal `unknown-fleet`, LogUnavailable
   */
  async report(
    { identity, onlyOwn }: Caller,
    id: string,
    fleet: string,
    report: ReportBody,
  ): Promise<ReportTakenBody> {
    const owner = identity.auth === 'none' ? null : identity.actor;
    const standing = await this.reports.store(id, fleet, report, { owner, onlyOwn });
    if (standing.fleet === '') throw new UnknownFleet(fleet, this.events.memory.names());
    if (standing.fleet !== fleet) {
      const detail =
        `Engine ${id} stands registered in fleet ${standing.fleet}. Give this one another id, ` +
        `or DELETE /engines/${id} when that one is gone.`;
      throw new Problem('engine-in-other-fleet', detail);
    }
    const generation = this.events.memory.get(fleet)?.generation ?? null;
    return { id, fleet, generation, conflict: standing.conflict };
  }

  async page(
    identity: Identity,
    fleet: string | undefined,
    after: string,
    limit: number,
  ): Promise<EnginePageBody> {
    const fleets = fleetsAsked(identity, fleet);
    const found = await this.engines.list({ fleets, id: null, after, limit: limit + 1 });
    const { page, next_cursor } = pageOf(found, limit, ({ id }) => id);
    return { engines: page, ...scopeOf(identity, fleet), next_cursor };
  }

  /** @throws Problem 404 when no engine of that id stands registered, 403 when it is of a fleet of others */
  async one(identity: Identity, id: string): Promise<EngineBody> {
    const [engine] = await this.engines.list({ fleets: null, id, after: '', limit: 1 });
    if (engine === undefined) throw noSuchEngine(id);
    checkFleet(identity, engine.fleet);
    return engine;
  }

  /**
   * Ends the registration of an engine; for one of several agents under its id only that agent.
   * @throws Problem 404 when no engine of that id stands registered, 403 when it is not the caller's to remove, LogUnavailable that says its outcome
   */
  async remove({ identity, onlyOwn }: Caller, id: string, instance: string | undefined): Promise<void> {
    if (identity.fleets !== null || onlyOwn) {
      const { owner } = await this.one(identity, id).catch(notBegun);
      if (onlyOwn && owner !== identity.actor) throw ofSomebodyElse(id);
    }
    if ((await this.engines.remove(id, identity.actor, instance ?? null)) === null) throw noSuchEngine(id);
  }
}

/** Of a change whose first look has failed it is certain that nothing happened. */
function notBegun(error: unknown): never {
  if (!(error instanceof LogUnavailable)) throw error;
  throw new LogUnavailable(error.message, 'none', undefined, { cause: error.cause });
}

function noSuchEngine(id: string): Problem {
  return new Problem('unknown-engine', `No engine ${id} stands registered.`);
}
