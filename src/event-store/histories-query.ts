import { type Histories, type LoggedEvent, noHistories, remember } from '../lora/domain/histories.js';

/**
 * The newest 100 of each type that a history shows; they are merged by position. $1 fleet, $2 generation. Rows are
 * compared, and ordered by all their columns, so that the index of these columns leads: with `fleet = …` the planner
 * goes back through the whole log by position for a fleet that was common once.
 */
export const HISTORIES = `
  select coalesce(jsonb_agg(jsonb_build_object(
    'position', e.position, 'recordedAt', rfc3339(e.recorded_at), 'type', e.type, 'fleet', e.fleet,
    'from_version', e.from_version, 'to_version', e.to_version, 'enabled', e.enabled, 'reason', e.reason,
    'actor', e.actor) order by e.position), '[]') as answer
  from unnest(array['LoraRolledBack', 'LoraEnabled', 'AdapterDeployed']) as wanted(type)
  cross join lateral (
    select * from events
    where (fleet, events.type, position) > ($1, wanted.type, 0)
      and (fleet, events.type, position) <= ($1, wanted.type, $2)
    order by fleet desc, events.type desc, position desc limit 100
  ) e
`;

/** The histories of what {@link HISTORIES} answers. */
export function foldHistories(events: readonly LoggedEvent[]): Histories {
  return events.reduce(remember, noHistories);
}
