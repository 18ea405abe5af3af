import { Inject, Injectable } from '@nestjs/common';

import { SETTINGS, type Settings } from '../config/settings.js';
import { Database } from '../database/database.js';
import type { Counted, Standings } from './convergence.js';
import type { EngineBody, ReportBody } from './engines.dto.js';
import { LogConnection } from '../event-store/log-connection.js';
import { ask } from '../event-store/unavailable.js';

/** Which engines a question is about. */
export interface EngineFilter {
  /** Of these fleets; null is all. */
  readonly fleets: readonly string[] | null;
  readonly id: string | null;
  /** Ids after this one. */
  readonly after: string;
  readonly limit: number;
}

/** Who reports. */
export interface Reporter {
  /** Null where nobody is asked who calls. */
  readonly owner: string | null;
  /** Whether it may report its own engines only. */
  readonly onlyOwn: boolean;
}

export interface EngineReport {
  readonly engine: string;
  readonly fleet: string;
  readonly report: ReportBody;
  readonly reporter: Reporter;
}

/** What becomes of reports. */
export interface Reported {
  /** By engine, the fleet in which it stands registered; empty: in none. */
  readonly fleets: Readonly<Record<string, string>>;
  /** Engines whose report was not taken, because they belong to somebody else. */
  readonly others: readonly string[];
  /** By engine, why it is in conflict. */
  readonly contended: Readonly<Partial<Record<string, string>>>;
  /** Kills that the last engine on their roll has acknowledged by these reports. */
  readonly completed: readonly { readonly fleet: string; readonly seconds: number }[];
}

const STATEMENT_TIMEOUT_MS = 1000;
const HOPELESS_MS = 1500;

/** The SQL of the engines' tables. Every call that fails for the database's sake throws LogUnavailable. */
@Injectable()
export class EnginesStore {
  /** Of its own, so that reports are never in the way of a command. */
  private readonly connection = new LogConnection(() => this.database.serviceUrl, {
    name: 'engines',
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  });

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    private readonly database: Database,
  ) {}

  /** Stores reports, of each engine one at most. */
  report(batch: readonly EngineReport[]): Promise<Reported> {
    const reports = batch.map(({ engine, fleet, report, reporter: { owner, onlyOwn } }) => {
      return { engine, fleet, report, owner, only_own: onlyOwn };
    });
    const parameters = [JSON.stringify(reports), this.settings.engineTtlSeconds];
    const sql = 'select report_engines_of($1, $2) as answer';
    return ask(
      () => this.connection.queryWithin<Reported>(HOPELESS_MS, sql, parameters),
      'The report could not be stored.',
    );
  }

  /** Ends the connection of the reports. */
  close(): Promise<void> {
    return this.connection.close();
  }

  /** Engines that stand registered, by id. */
  list({ fleets, id, after, limit }: EngineFilter): Promise<EngineBody[]> {
    return this.rows(ENGINES, [fleets, id, after, limit, this.settings.engineTtlSeconds]);
  }

  /** How many engines of each fleet are in each state. */
  counts(): Promise<{ fleet: string; state: string; engines: number }[]> {
    return this.rows(COUNTS, [this.settings.engineTtlSeconds]);
  }

  /** How the engines of fleets stand to one generation of each, by fleet; nothing of one that has no such generation. */
  async standings(
    generations: ReadonlyMap<string, number>,
    counted: Counted,
  ): Promise<ReadonlyMap<string, Standings>> {
    const asked = [[...generations.keys()], [...generations.values()]];
    const parameters = [...asked, counted === 'at-commit', this.settings.engineTtlSeconds];
    const rows = await this.rows<Standings & { fleet: string }>(STANDINGS, parameters);
    return new Map(rows.map(({ fleet, ...standings }) => [fleet, standings]));
  }

  /**
   * Ends the registration of an engine; for one of several agents under its id only that agent.
   * @returns its fleet, null when it had none
   * @throws LogUnavailable, whose outcome is `none` where there was no connection to send it on
   */
  async remove(id: string, actor: string, instance: string | null): Promise<string | null> {
    const parameters = [id, actor, instance, this.settings.engineTtlSeconds];
    const { dataSource } = this.database;
    const connection = dataSource.createQueryRunner();
    try {
      await ask(() => connection.connect(), 'The engines cannot be changed now.', 'none');
      const [row] = await ask(
        () =>
          dataSource.query<{ fleet: string | null }[]>(
            'select remove_engine($1, $2, $3, $4) as fleet',
            parameters,
            connection,
          ),
        'Whether the engine stands registered is unknown. Remove it again.',
        'unknown',
      );
      return row?.fleet ?? null;
    } finally {
      await connection.release();
    }
  }

  private rows<T>(sql: string, parameters: unknown[]): Promise<T[]> {
    return ask(() => this.database.dataSource.query<T[]>(sql, parameters), 'The engines cannot be read now.');
  }
}

const ENGINES = `
  select e.engine as id, e.fleet, e.owner,
    case when p.heard_at is null or p.heard_at < clock_timestamp() - make_interval(secs => $5) then 'lost'
      else p.state end as state,
    p.observed_generation, p.log_id, coalesce(p.report -> 'observed_adapters', '[]') as observed_adapters,
    coalesce((p.report ->> 'local_kill')::boolean, false) as local_kill,
    p.report -> 'capabilities' as capabilities, p.report ->> 'base_model' as base_model,
    p.report ->> 'agent_version' as agent_version, p.report ->> 'last_error' as last_error,
    rfc3339(e.registered_at) as registered_at, rfc3339(p.heard_at) as heard_at
  from engine_registrations e left join engine_presence p on p.engine = e.engine
  where e.removed_at is null and ($1::text[] is null or e.fleet = any ($1)) and e.engine = coalesce($2, e.engine) and e.engine > $3
  order by e.engine limit $4
`;

const COUNTS = `
  select e.fleet, s.state, count(*)::int as engines
  from engine_registrations e left join engine_presence p on p.engine = e.engine
  cross join lateral (select case
    when p.heard_at is null or p.heard_at < clock_timestamp() - make_interval(secs => $1) then 'lost' else p.state end as state) s
  where e.removed_at is null group by e.fleet, s.state
`;

const STANDINGS = `
  with presence as materialized (
    select engine_presence_since() > clock_timestamp() - make_interval(secs => $4) as young
  )
  select e.fleet, e.position as generation, h.log_id, e.type = 'LoraDisabled' as is_kill, c.current, presence.young,
    coalesce((
      select jsonb_agg(jsonb_build_object('engine', r.engine, 'state', p.state,
        'lost', p.heard_at < clock_timestamp() - make_interval(secs => $4),
        'acknowledged_at', rfc3339(case
          when c.current > e.position then a.acknowledged_at
          when p.matches and p.log_id = h.log_id and p.observed_generation = e.position then p.matches_since end)
        ) order by r.engine)
      from engine_registrations r
      left join engine_presence p on p.engine = r.engine
      left join kill_acknowledgements a on a.log_id = h.log_id and a.generation = e.position and a.engine = r.engine
      where r.fleet = e.fleet and case when $3 then r.registered_at <= e.recorded_at
        and (r.removed_at is null or r.removed_at > e.recorded_at) else r.removed_at is null end
    ), '[]') as engines
  from unnest($1::text[], $2::bigint[]) as asked(fleet, generation)
  join events e on e.position = asked.generation and e.fleet = asked.fleet
  cross join log_head h cross join presence
  cross join lateral (select max(generation) as current from fleet_states where fleet = e.fleet) c
`;
