import { type Histories, type LoggedEvent, noHistories, remember } from '../lora/domain/histories.js';

/** The newest 100 of each type that a history shows; they are merged by position. $1 fleet, $2 generation. */
export const HISTORIES = `
  select coalesce(jsonb_agg(jsonb_build_object(
    'position', e.position, 'recordedAt', rfc3339(e.recorded_at), 'type', e.type, 'fleet', e.fleet,
    'from_version', e.from_version, 'to_version', e.to_version, 'enabled', e.enabled, 'reason', e.reason,
    'actor', e.actor) order by e.position), '[]') as answer
  from unnest(array['LoraRolledBack', 'LoraEnabled', 'AdapterDeployed']) as wanted(type)
  cross join lateral (
    select * from events where fleet = $1 and events.type = wanted.type and position <= $2
    order by position desc limit 100
  ) e
`;

/** The histories of what {@link HISTORIES} answers. */
export function foldHistories(events: readonly LoggedEvent[]): Histories {
  return events.reduce(remember, noHistories);
}
