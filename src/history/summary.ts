import type { Flip, Happened, LogPart } from '../event-store/audit-rows.js';

/** A kill: an event that turned `enabled` off. Durations are seconds; null where the end has not come. */
export interface KillSummary {
  readonly position: number;
  readonly recorded_at: string;
  readonly fleet: string;
  readonly actor: string;
  readonly reason: string;
  readonly reference: string | null;
  readonly enabled_again_at: string | null;
  readonly disabled_seconds: number | null;
  /** To the last acknowledgement of the engines that were registered; null where one is missing, or there was none. */
  readonly acknowledged_seconds: number | null;
}

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
  readonly kills: readonly KillSummary[];
}

/** What happened in a part of the log, counted. */
export function summarise(part: LogPart, happened: Happened): Summary {
  const { since, until, fleet } = part;
  const by = (key: 'type' | 'fleet' | 'actor'): Record<string, number> =>
    Object.fromEntries(
      happened.counts
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
    disabled_seconds: disabledSeconds(part, happened),
    kills: happened.flips.filter(({ type }) => type === 'LoraDisabled').map(killOf),
  };
}

function killOf(flip: Flip): KillSummary {
  const { position, recorded_at, fleet, actor, reason, reference, enabled_again_at, acknowledged_at } = flip;
  return {
    position,
    recorded_at,
    fleet,
    actor,
    reason,
    reference,
    enabled_again_at,
    disabled_seconds: enabled_again_at === null ? null : secondsBetween(recorded_at, enabled_again_at),
    acknowledged_seconds: acknowledged_at === null ? null : secondsBetween(recorded_at, acknowledged_at),
  };
}

function disabledSeconds({ since, until }: LogPart, happened: Happened): Record<string, number> {
  const { now, flips, disabled_before } = happened;
  const end = until === null || Date.parse(until) > Date.parse(now) ? now : until;
  const seconds = new Map<string, number>();
  const offSince = new Map<string, string>();
  const add = (fleet: string, from: string, to: string): void => {
    seconds.set(fleet, round((seconds.get(fleet) ?? 0) + Math.max(0, secondsBetween(from, to))));
  };
  if (since !== null) for (const fleet of disabled_before) offSince.set(fleet, since);
  for (const { fleet, enabled, recorded_at } of flips) {
    const from = offSince.get(fleet);
    if (enabled && from !== undefined) {
      add(fleet, from, recorded_at);
      offSince.delete(fleet);
    }
    if (!enabled) offSince.set(fleet, recorded_at);
  }
  for (const [fleet, from] of offSince) add(fleet, from, end);
  return Object.fromEntries([...seconds].sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** To the millisecond: more digits would claim what two clocks' readings do not hold. */
function secondsBetween(from: string, to: string): number {
  return round((Date.parse(to) - Date.parse(from)) / 1000);
}

const round = (seconds: number): number => Math.round(seconds * 1000) / 1000;
