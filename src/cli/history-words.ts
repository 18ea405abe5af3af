import type { HistoryEvent } from './answers.js';
import { table } from './table.js';
import { printable, versionName } from './text.js';
import { absolute, age } from './time-words.js';

const HEADER = ['TIME', 'AGO', 'FLEET', 'TYPE', 'FROM → TO', 'ACTOR', 'REASON'];

/** Events as a table. */
export function historyLines(events: readonly HistoryEvent[], now: Date): string[] {
  if (events.length === 0) return ['No events.'];
  const rows = events.map((event) => [
    absolute(event.recorded_at),
    age(event.recorded_at, now),
    event.fleet,
    event.type,
    changeOf(event),
    printable(event.actor_name === undefined ? event.actor : `${event.actor} (${event.actor_name})`),
    printable(event.reference === null ? event.reason : `${event.reason} (${event.reference})`),
  ]);
  return table(HEADER, rows);
}

/** All that one event says, a member a line. */
export function eventLines(event: HistoryEvent, now: Date): string[] {
  const rows = Object.entries(event).map(([name, value]) => [
    name,
    name === 'recorded_at'
      ? `${event.recorded_at} (${age(event.recorded_at, now)} ago)`
      : value === null
        ? '-'
        : printable(String(value)),
  ]);
  const [first = [], ...rest] = rows;
  return table(first, rest);
}

function changeOf({ from_version, to_version }: HistoryEvent): string {
  if (from_version === to_version) return versionName(to_version);
  return `${versionName(from_version)} → ${versionName(to_version)}`;
}
