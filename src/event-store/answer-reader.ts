import type { EventBody } from '../lora/domain/events.js';
import type { Histories, LoggedEvent } from '../lora/domain/histories.js';
import type { Hindsight } from '../lora/domain/notice.js';
import type { FleetState } from '../lora/domain/state.js';
import type { StoredState } from '../lora/domain/view.js';
import { foldHistories, HISTORIES } from './histories-query.js';
import type { LogConnection } from './log-connection.js';
import { ask } from './unavailable.js';

/** An accepted command of one fleet, with what its answer needs. */
export interface Accepted {
  readonly event: EventBody;
  /** Its leaf hash, in hexadecimal. */
  readonly leaf: string;
  readonly before: FleetState | null;
  readonly after: StoredState;
  readonly hindsight: Hindsight;
}

const ANSWER_TIMEOUT_MS = 1000;

/**
 * Reads what an answer needs and memory does not have. On a connection that is cut when it does not answer, because
 * a command's answer is due, and the one after it shall find a connection that works.
 */
export class AnswerReader {
  constructor(private readonly connection: LogConnection) {}

  /** The accepted commands at these positions, both included, in order. @throws LogUnavailable */
  async accepted(first: number, last: number): Promise<Accepted[]> {
    const rows = await this.ask<AcceptedRow[]>(ACCEPTED, [first, last]);
    return rows.map(
      ({ position, recorded_at, body, leaf, state, before, since, since_actor, was_ever_active }) => {
        const event = JSON.parse(body) as EventBody;
        return {
          event,
          leaf,
          before,
          after: { fleet: event.fleet, generation: position, recordedAt: recorded_at, state },
          hindsight: {
            now: recorded_at,
            disabledSince:
              since !== null && since_actor !== null ? { recordedAt: since, actor: since_actor } : null,
            wasEverActive: was_ever_active,
          },
        };
      },
    );
  }

  /** The histories of a fleet as of a generation. @throws LogUnavailable */
  async histories(fleet: string, generation: number): Promise<Histories> {
    return foldHistories(await this.ask<LoggedEvent[]>(HISTORIES, [fleet, generation]));
  }

  private ask<T>(sql: string, parameters: unknown[]): Promise<T> {
    return ask(() => this.connection.queryWithin<T>(ANSWER_TIMEOUT_MS, sql, parameters));
  }
}

interface AcceptedRow {
  readonly position: number;
  readonly recorded_at: string;
  readonly body: string;
  readonly leaf: string;
  readonly state: FleetState;
  readonly before: FleetState | null;
  readonly since: string | null;
  readonly since_actor: string | null;
  readonly was_ever_active: boolean;
}

/**
 * An event with the states around it, since when its fleet is disabled, and whether its version was ever active.
 * Rows are compared, and ordered by all their columns, wherever one is looked for: only the index of these columns
 * answers that. With `fleet = …` the planner goes through the log by position as soon as it thinks the fleet common.
 */
const ACCEPTED = `
  select coalesce(jsonb_agg(jsonb_build_object(
    'position', e.position, 'recorded_at', rfc3339(e.recorded_at), 'body', e.body, 'state', s.state,
    'leaf', encode(e.leaf_hash, 'hex'),
    'before', before.state, 'since', rfc3339(since.recorded_at), 'since_actor', since.actor,
    'was_ever_active', coalesce((
      select true from events a
      where a.enabled and (a.fleet, a.to_version, a.position) > (e.fleet, e.adapter_version, 0)
        and (a.fleet, a.to_version, a.position) < (e.fleet, e.adapter_version, e.position)
      order by a.fleet, a.to_version, a.position limit 1), false)
  ) order by e.position), '[]') as answer
  from events e
  join fleet_states s on s.fleet = e.fleet and s.generation = e.position
  left join lateral (
    select b.state from fleet_states b where b.fleet = e.fleet and b.generation < e.position
    order by b.generation desc limit 1
  ) before on true
  left join lateral (
    select d.recorded_at, d.actor from events d
    where (d.fleet, d.position) < (e.fleet, e.position) and (d.fleet, d.position) > (e.fleet, coalesce((
      select u.position from events u
      where u.enabled and (u.fleet, u.position) < (e.fleet, e.position) and (u.fleet, u.position) > (e.fleet, 0)
      order by u.fleet desc, u.position desc limit 1), 0))
    order by d.fleet, d.position limit 1
  ) since on e.type = 'LoraDisabled' and not (before.state ->> 'enabled')::boolean
  where e.position between $1 and $2
`;
