import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';

import { LogUnavailable } from '../lora/domain/errors.js';
import type { EventBody, LoraEvent } from '../lora/domain/events.js';
import type { Hindsight } from '../lora/domain/notice.js';
import type { FleetState } from '../lora/domain/state.js';
import type { StoredState } from '../lora/domain/view.js';
import { EventEntity } from './event.entity.js';
import { FleetStateEntity } from './fleet-state.entity.js';

/** An accepted command of one fleet, with what its answer needs. */
export interface Accepted {
  readonly event: EventBody;
  readonly before: FleetState | null;
  readonly after: StoredState;
  readonly hindsight: Hindsight;
}

/** What an auditor can ask the log for; every field narrows, times are RFC 3339. */
export interface EventFilter {
  readonly fleet?: string;
  readonly type?: LoraEvent['type'];
  readonly actor?: string;
  readonly adapter_version?: string;
  readonly reference?: string;
  /** Recorded at or after. */
  readonly since?: string;
  /** Recorded before. */
  readonly until?: string;
  /** A part of the reason, upper and lower case alike. */
  readonly reason?: string;
}

/** Reads of the log and its projection. Every one that fails for the database's sake throws LogUnavailable. */
@Injectable()
export class EventReader {
  constructor(
    @InjectRepository(EventEntity) private readonly events: Repository<EventEntity>,
    @InjectRepository(FleetStateEntity) private readonly states: Repository<FleetStateEntity>,
  ) {}

  async logId(): Promise<string> {
    const rows = await this.asking(() =>
      this.events.query<{ log_id: string }[]>('select log_id from log_head'),
    );
    return rows[0]?.log_id ?? '';
  }

  /** The newest state of a fleet; null when there is no such fleet. */
  latest(fleet: string): Promise<StoredState | null> {
    return this.asking(() =>
      this.states.createQueryBuilder('s').where({ fleet }).orderBy('s.generation', 'DESC').limit(1).getOne(),
    );
  }

  /** The newest states of up to `limit` fleets after a name, by name. */
  async fleets(after: string, limit: number): Promise<StoredState[]> {
    return this.asking(() =>
      this.states
        .createQueryBuilder('s')
        .where(
          '(s.fleet, s.generation) in (select f, (select max(generation) from fleet_states where fleet = f)' +
            ' from fleet_names() f where f collate "C" > :after order by f collate "C" limit :limit)',
          { after, limit },
        )
        .orderBy('s.fleet')
        .getMany(),
    );
  }

  async fleetNames(limit: number): Promise<string[]> {
    const rows = await this.asking(() =>
      this.events.query<{ fleet: string }[]>('select fleet_names() as fleet limit $1', [limit]),
    );
    return rows.map(({ fleet }) => fleet);
  }

  /** The newest 100 events of these types of a fleet as of a generation, oldest first. */
  async newest(
    fleet: string,
    types: readonly LoraEvent['type'][],
    generation: number,
  ): Promise<EventEntity[]> {
    const rows = await Promise.all(
      types.map((type) =>
        this.asking(() =>
          this.events
            .createQueryBuilder('e')
            .where({ fleet, type })
            .andWhere('e.position <= :generation', { generation })
            .orderBy('e.position', 'DESC')
            .limit(HISTORY_MAX)
            .getMany(),
        ),
      ),
    );
    return rows
      .flat()
      .sort((one, other) => one.position - other.position)
      .slice(-HISTORY_MAX);
  }

  /** A page of the log, newest first, of positions below `before`. */
  page(filter: EventFilter, before: number | undefined, limit: number): Promise<EventEntity[]> {
    const query = this.events.createQueryBuilder('e').orderBy('e.position', 'DESC').limit(limit);
    const conditions: readonly [unknown, string][] = [
      [filter.fleet, 'e.fleet = :fleet'],
      [filter.type, 'e.type = :type'],
      [filter.actor, 'e.actor = :actor'],
      [filter.adapter_version, 'e.adapterVersion = :adapter_version'],
      [filter.reference, 'e.reference = :reference'],
      [filter.since, 'e.recordedAt >= cast(:since as timestamptz)'],
      [filter.until, 'e.recordedAt < cast(:until as timestamptz)'],
      [filter.reason, 'strpos(lower(e.reason), lower(:reason)) > 0'],
      [before, 'e.position < :before'],
    ];
    for (const [value, condition] of conditions) if (value !== undefined) query.andWhere(condition);
    return this.asking(() => query.setParameters({ ...filter, before }).getMany());
  }

  /** The accepted commands at these positions, both included, in order. */
  async accepted(first: number, last: number): Promise<Accepted[]> {
    const rows = await this.asking(() => this.events.query<AcceptedRow[]>(ACCEPTED, [first, last]));
    return rows.map((row) => {
      const event = JSON.parse(row.body) as EventBody;
      return {
        event,
        before: row.before,
        after: {
          fleet: event.fleet,
          generation: row.position,
          recordedAt: row.recorded_at,
          state: row.state,
        },
        hindsight: {
          now: row.recorded_at,
          disabledSince:
            row.since && row.since_actor ? { recordedAt: row.since, actor: row.since_actor } : null,
          wasEverActive: row.was_ever_active,
        },
      };
    });
  }

  private async asking<T>(question: () => Promise<T>): Promise<T> {
    try {
      return await question();
    } catch (error) {
      throw new LogUnavailable('The log cannot be read now.', undefined, undefined, { cause: error });
    }
  }
}

const HISTORY_MAX = 100;

interface AcceptedRow {
  readonly position: number;
  readonly recorded_at: string;
  readonly body: string;
  readonly state: FleetState;
  readonly before: FleetState | null;
  readonly since: string | null;
  readonly since_actor: string | null;
  readonly was_ever_active: boolean;
}

/** An event with the states around it, when its fleet had been disabled, and whether its version was ever active. */
const ACCEPTED = `
  select e.position, e.recorded_at, e.body, s.state, before.state as before,
    since.recorded_at as since, since.actor as since_actor,
    exists (
      select from events a where a.fleet = e.fleet and a.to_version = e.adapter_version and a.enabled
        and a.position < e.position
    ) as was_ever_active
  from events e
  join fleet_states s on s.fleet = e.fleet and s.generation = e.position
  left join lateral (
    select b.state from fleet_states b where b.fleet = e.fleet and b.generation < e.position
    order by b.generation desc limit 1
  ) before on true
  left join lateral (
    select d.recorded_at, d.actor from events d
    where d.fleet = e.fleet and d.position < e.position and d.position > coalesce((
      select u.position from events u where u.fleet = e.fleet and u.enabled and u.position < e.position
      order by u.position desc limit 1), 0)
    order by d.position limit 1
  ) since on e.type = 'LoraDisabled' and not (before.state ->> 'enabled')::boolean
  where e.position between $1 and $2
  order by e.position
`;
