import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';

import type { LoraEvent } from '../lora/domain/events.js';
import type { Histories, LoggedEvent } from '../lora/domain/histories.js';
import type { FleetState } from '../lora/domain/state.js';
import type { StoredState } from '../lora/domain/view.js';
import { EventEntity } from './event.entity.js';
import { foldHistories, HISTORIES } from './histories-query.js';
import { ask } from './unavailable.js';

/** What an auditor can ask the log for; every field narrows, times are RFC 3339. */
export interface EventFilter {
  /** Of these fleets; null is all. */
  readonly fleets: readonly string[] | null;
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
  constructor(@InjectRepository(EventEntity) private readonly events: Repository<EventEntity>) {}

  /** The state of a fleet as of the last event recorded at or before a time; null when it had none. */
  async stateAt(fleet: string, time: string): Promise<StateAt> {
    const [row] = await ask(() => this.events.query<StateAtRow[]>(STATE_AT, [fleet, time]));
    if (row === undefined) throw new Error('The log has no head.');
    const { log_id, final, generation, recorded_at, state } = row;
    const stored = state && { fleet, generation, recordedAt: recorded_at, state };
    return { logId: log_id, final, stored };
  }

  /** One event; null when the log has none at that position. */
  one(position: number): Promise<EventEntity | null> {
    return ask(() => this.events.findOneBy({ position }));
  }

  /** The histories of a fleet as of a generation. On the pool: an auditor does not keep commands from the connection that their answers need. */
  async histories(fleet: string, generation: number): Promise<Histories> {
    const rows = await ask(() =>
      this.events.query<{ answer: LoggedEvent[] }[]>(HISTORIES, [fleet, generation]),
    );
    return foldHistories(rows[0]?.answer ?? []);
  }

  /** A page of the log, newest first, of positions below `before`. */
  page(filter: EventFilter, before: number | undefined, limit: number): Promise<EventEntity[]> {
    const conditions: readonly [unknown, string][] = [
      [filter.fleets ?? undefined, 'e.fleet in (:...fleets)'],
      [filter.type, 'e.type = :type'],
      [filter.actor, 'e.actor = :actor'],
      [filter.adapter_version, 'e.adapterVersion = :adapter_version'],
      [filter.reference, 'e.reference = :reference'],
      [filter.since, `e.position >= (${FIRST_SINCE})`],
      [filter.until, `e.position <= (${LAST_BEFORE})`],
      [filter.reason, 'strpos(lower(e.reason), lower(:reason)) > 0'],
      [before, 'e.position < :before'],
    ];
    return ask(() => {
      const query = this.events.createQueryBuilder('e').orderBy('e.position', 'DESC').limit(limit);
      for (const [value, condition] of conditions) if (value !== undefined) query.andWhere(condition);
      return query.setParameters({ ...filter, before }).getMany();
    });
  }
}

/** A fleet at a time that has passed. */
export interface StateAt {
  readonly logId: string;
  /** Whether the log holds a later event: before that a command under way could still be recorded earlier. */
  readonly final: boolean;
  readonly stored: StoredState | null;
}

interface StateAtRow {
  readonly log_id: string;
  readonly final: boolean;
  readonly generation: number;
  readonly recorded_at: string;
  readonly state: FleetState | null;
}

/** Time and position rise together: bounds of the one are found as bounds of the other, by which a page is ordered. */
const FIRST_SINCE =
  'select s.position from events s where s.recorded_at >= cast(:since as timestamptz) order by s.recorded_at limit 1';
const LAST_BEFORE =
  'select u.position from events u where u.recorded_at < cast(:until as timestamptz) order by u.recorded_at desc limit 1';

const STATE_AT = `
  select h.log_id, coalesce(h.recorded_at > $2::timestamptz, false) as final, s.generation, s.recorded_at, s.state
  from log_head h
  left join lateral (
    select * from fleet_states where fleet = $1 and recorded_at <= $2::timestamptz
    order by recorded_at desc limit 1
  ) s on true
`;
