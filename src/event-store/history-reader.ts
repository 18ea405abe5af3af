import { Injectable } from '@nestjs/common';

import { Database } from '../database/database.js';
import type {
  ExportedAcknowledgement,
  ExportedRoll,
  ExportedRow,
  FleetAt,
  LogEnd,
  LogHead,
  LogPart,
} from './history-rows.js';
import { upTo } from './event-reader.js';
import { lastBefore, rowAt } from './positions.js';
import { ask } from './unavailable.js';

/** Questions to the past of the log, of auditors and of reads with a time. Every one that fails for the database's sake throws LogUnavailable. */
@Injectable()
export class HistoryReader {
  constructor(private readonly database: Database) {}

  async head(): Promise<LogHead> {
    return this.one<LogHead>(HEAD, []);
  }

  /** The next rows of a part of the log, in order, after one position and up to another. */
  exportRows(part: LogPart, after: number, upTo: number, limit: number): Promise<ExportedRow[]> {
    const sql = exportOf(part.fleets === null ? POSITIONS : POSITIONS_OF_FLEETS);
    return this.rows<ExportedRow>(sql, [after, upTo, part.since, part.until, part.fleets, limit]);
  }

  /** The rolls of the kills among those positions. */
  exportRolls(part: LogPart, from: number, to: number): Promise<ExportedRoll[]> {
    return this.rows<ExportedRoll>(ROLLS, [from, to, part.fleets]);
  }

  /** The acknowledgements of the kills among those positions. */
  exportAcknowledgements(part: LogPart, from: number, to: number): Promise<ExportedAcknowledgement[]> {
    return this.rows<ExportedAcknowledgement>(ACKNOWLEDGEMENTS, [from, to, part.fleets]);
  }

  /** Those of the fleets that had a state at a time, in their order. */
  fleetsAt(fleets: readonly string[], time: string): Promise<FleetAt[]> {
    return this.rows<FleetAt>(FLEETS_AT, [time, fleets]);
  }

  /** Whether the log holds an event recorded after the time: before that, one could still be recorded earlier. */
  end(time: string): Promise<LogEnd> {
    return this.one<LogEnd>(
      `select log_id, coalesce(recorded_at > ${upTo('$1')}, false) as final from log_head`,
      [time],
    );
  }

  private async one<T>(sql: string, parameters: unknown[]): Promise<T> {
    const [row] = await this.rows<T>(sql, parameters);
    if (row === undefined) throw new Error('A query that always has one row had none.');
    return row;
  }

  private rows<T>(sql: string, parameters: unknown[]): Promise<T[]> {
    return ask(() => this.database.dataSource.query<T[]>(sql, parameters));
  }
}

const HEAD = `
  select h.log_id, h.position, rfc3339(clock_timestamp()) as now,
    coalesce((select jsonb_agg(jsonb_build_object('log_id', a.log_id, 'previous_log_id', a.previous_log_id,
      'position', a.position, 'adopted_at', rfc3339(a.adopted_at)) order by a.adopted_at) from log_adoptions a), '[]') as adoptions
  from log_head h
`;

const AFTER = `greatest($1::bigint, ${lastBefore('$3::timestamptz')})`;
const UP_TO = `least($2::bigint, ${lastBefore("coalesce($4::timestamptz, 'infinity')")})`;

const POSITIONS = `
  select position from events where position > ${AFTER} and position <= ${UP_TO} and $5::text[] is null
  order by position limit $6`;

/** The next of each fleet, and of these the next: by position alone a quiet fleet is a long search. */
const POSITIONS_OF_FLEETS = `
  select mine.position from unnest($5::text[]) as asked(fleet) cross join lateral (
    select e.position from events e
    where (e.fleet, e.position) > (asked.fleet, ${AFTER}) and (e.fleet, e.position) <= (asked.fleet, ${UP_TO})
    order by e.fleet, e.position limit $6
  ) mine
  order by mine.position limit $6`;

const exportOf = (positions: string): string => `
  select e.position, rfc3339(e.recorded_at) as recorded_at, encode(e.leaf_hash, 'hex') as leaf_hash, e.body,
    jsonb_build_object('id', e.id, 'type', e.type, 'fleet', e.fleet, 'adapter_version', e.adapter_version,
      'from_version', e.from_version, 'to_version', e.to_version, 'enabled', e.enabled, 'reason', e.reason,
      'reference', e.reference, 'actor', e.actor) as columns,
    s.state
  from (${positions}) p cross join lateral ${rowAt('p.position')} e
  left join fleet_states s on s.fleet = e.fleet and s.generation = e.position and s.recorded_at = e.recorded_at
  order by p.position
`;

const ROLLS = `
  select log_id, generation, fleet, rfc3339(killed_at) as killed_at, to_jsonb(engines) as engines
  from kill_rolls where generation between $1 and $2 and ($3::text[] is null or fleet = any ($3)) order by generation, log_id
`;

const ACKNOWLEDGEMENTS = `
  select log_id, generation, engine, fleet, observed_adapters, rfc3339(acknowledged_at) as acknowledged_at
  from kill_acknowledgements where generation between $1 and $2 and ($3::text[] is null or fleet = any ($3))
  order by generation, log_id, engine
`;

const FLEETS_AT = `
  select n.fleet, s.generation, s.recorded_at, s.state
  from unnest($2::text[]) with ordinality n(fleet, nth)
  cross join lateral (
    select generation, rfc3339(recorded_at) as recorded_at, state from fleet_states
    where fleet = n.fleet and fleet_states.recorded_at <= ${upTo('$1')}
    order by fleet_states.recorded_at desc limit 1
  ) s
  order by n.nth
`;
