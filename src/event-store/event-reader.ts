import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';

import type { Histories, LoggedEvent } from '../lora/domain/histories.js';
import type { FleetState } from '../lora/domain/state.js';
import type { StoredState } from '../lora/domain/view.js';
import { EventEntity } from './event.entity.js';
import { foldHistories, HISTORIES } from './histories-query.js';
import { type EventFilter, historyQuery } from './history-query.js';
import { ask } from './unavailable.js';

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

  /**
   * How the actors of events were called when these were recorded, or else the next time that somebody called them;
   * by position. Many have no name.
   */
  async actorNames(positions: readonly number[]): Promise<ReadonlyMap<number, string>> {
    if (positions.length === 0) return new Map();
    const rows = await ask(() =>
      this.events.query<{ position: number; name: string }[]>(ACTOR_NAMES, [positions]),
    );
    return new Map(rows.map(({ position, name }) => [position, name]));
  }

  /** The histories of a fleet as of a generation. On the pool: an auditor does not keep commands from the connection that their answers need. */
  async histories(fleet: string, generation: number): Promise<Histories> {
    const rows = await ask(() =>
      this.events.query<{ answer: LoggedEvent[] }[]>(HISTORIES, [fleet, generation]),
    );
    return foldHistories(rows[0]?.answer ?? []);
  }

  /** A page of the log, newest first, of positions below `before`; one that has read all that it may ends early. */
  async page(filter: EventFilter, before: number | undefined, limit: number): Promise<EventsRead> {
    // Without a fleet there is nothing to be seen.
    if (filter.fleets?.length === 0) return { events: [], readTo: null };
    const { sql, parameters } = historyQuery(filter, before, limit);
    const rows = await ask(() => this.events.query<EventsReadRow[]>(sql, [...parameters]));
    return { events: rows.filter(isEvent), readTo: rows[0]?.readTo ?? null };
  }
}

/** A row of the log as an auditor sees it. */
export type LoggedRow = Pick<EventEntity, 'position' | 'recordedAt' | 'leafHash' | 'body'>;

type EventsReadRow = (LoggedRow | Record<keyof LoggedRow, null>) & { readonly readTo: number | null };

const isEvent = (row: EventsReadRow): row is LoggedRow & EventsReadRow => row.position !== null;

export interface EventsRead {
  readonly events: readonly LoggedRow[];
  /** Where reading ended before the end of the log; null when it did not. */
  readonly readTo: number | null;
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

/** Up to when: a time that has not passed yet is the head, which may be ahead of the clock, and is never final. */
export const upTo = (time: '$1' | '$2'): string =>
  `case when ${time}::timestamptz >= now() then 'infinity' else ${time}::timestamptz end`;

const STATE_AT = `
  select h.log_id, coalesce(h.recorded_at > ${upTo('$2')}, false) as final, s.generation, s.recorded_at, s.state
  from log_head h
  left join lateral (
    select * from fleet_states where fleet = $1 and recorded_at <= ${upTo('$2')}
    order by recorded_at desc limit 1
  ) s on true
`;

/** A name is known by the token of the command itself, and to the quarter of a second: it may seem to come after its event. */
const ACTOR_NAMES = `
  select e.position, n.name from events e cross join lateral (
    select name from caller_names c where c.actor = e.actor
    order by c.seen_at <= e.recorded_at + interval '250 milliseconds' desc, abs(extract(epoch from c.seen_at - e.recorded_at)) limit 1
  ) n where e.position = any ($1)
`;
