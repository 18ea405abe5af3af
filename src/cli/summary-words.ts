import type { Summary } from './answers.js';
import { table } from './table.js';
import { counted, printable } from './text.js';
import { absolute, age, duration } from './time-words.js';

/** A part of the log, counted, as people read it. */
export function summaryLines(summary: Summary, now: Date): string[] {
  const { since, until, events, by_type, by_fleet, by_actor, disabled_seconds } = summary;
  const part = [since === null ? '' : ` since ${since}`, until === null ? '' : ` until ${until}`].join('');
  const headline = `${counted(events, 'event')}${part}`;
  if (events === 0 && Object.keys(disabled_seconds).length === 0) return [headline];
  const fleets = [...new Set([...Object.keys(by_fleet), ...Object.keys(disabled_seconds)])].sort();
  return [
    headline,
    ...section(['TYPE', 'EVENTS'], countsOf(by_type)),
    ...section(
      ['FLEET', 'EVENTS', 'DISABLED'],
      fleets.map((fleet) => [fleet, String(by_fleet[fleet] ?? 0), duration(disabled_seconds[fleet] ?? 0)]),
    ),
    ...section(['ACTOR', 'EVENTS'], countsOf(by_actor)),
    ...section(
      ['KILLED', 'AGO', 'FLEET', 'ACTOR', 'REASON', 'DISABLED', 'ENGINES LET GO'],
      summary.kills.map((kill) => [
        absolute(kill.recorded_at),
        age(kill.recorded_at, now),
        kill.fleet,
        printable(kill.actor),
        printable(kill.reference === null ? kill.reason : `${kill.reason} (${kill.reference})`),
        kill.disabled_seconds === null ? 'still' : duration(kill.disabled_seconds),
        kill.acknowledged_seconds === null ? 'not known' : `after ${duration(kill.acknowledged_seconds)}`,
      ]),
    ),
  ];
}

const countsOf = (counts: Readonly<Record<string, number>>): string[][] =>
  Object.entries(counts).map(([name, count]) => [printable(name), String(count)]);

function section(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0 ? [] : ['', ...table(header, rows)];
}
