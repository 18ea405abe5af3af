import type { LogPart } from '../event-store/history-rows.js';
import type { Tallied } from '../event-store/tallies.js';

/** A part of the log, counted. */
export interface Summary {
  readonly since: string | null;
  readonly until: string | null;
  readonly fleet: string | null;
  readonly events: number;
  readonly by_type: Readonly<Record<string, number>>;
  readonly by_fleet: Readonly<Record<string, number>>;
  readonly by_actor: Readonly<Record<string, number>>;
  /** By fleet, how long it stood disabled within the part. */
  readonly disabled_seconds: Readonly<Record<string, number>>;
}

export function summaryOf({ since, until, fleet }: LogPart, { counts, disabled }: Tallied): Summary {
  const by = (key: 'type' | 'fleet' | 'actor'): Record<string, number> =>
    Object.fromEntries(
      counts
        .flatMap((counted): [string, number][] =>
          counted[key] === null ? [] : [[counted[key], counted.events]],
        )
        .sort(([one], [other]) => (one < other ? -1 : 1)),
    );
  const byType = by('type');
  return {
    since,
    until,
    fleet,
    events: Object.values(byType).reduce((sum, events) => sum + events, 0),
    by_type: byType,
    by_fleet: by('fleet'),
    by_actor: by('actor'),
    disabled_seconds: Object.fromEntries(disabled.map(({ fleet, seconds }) => [fleet, seconds])),
  };
}
