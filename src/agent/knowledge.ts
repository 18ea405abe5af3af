import type { FleetState } from './fleet-state.js';

/** What the agent knows of its fleet, and how far it can be trusted. */
export interface Knowledge {
  readonly state: FleetState | null;
  /**
   * `live`: the control plane has confirmed it to this process. `recent-snapshot` and `old-snapshot`: it comes from the
   * disk, and was young enough at the start or not.
   */
  readonly origin: 'live' | 'recent-snapshot' | 'old-snapshot';
  /** Monotonic milliseconds of the last confirmation; null when there was none, or nobody knows when. */
  readonly confirmedAt: number | null;
  /** What a new log says without an operator having said it: not obeyed. */
  readonly held: FleetState | null;
}

export const NOTHING_KNOWN: Knowledge = {
  state: null,
  origin: 'live',
  confirmedAt: null,
  held: null,
};

/**
 * `new`: it is obeyed. `confirmed`: it was known. `held`: a new log that would enable without an operator.
 * `older`: this source is behind, or contradicts what is known. `unconfirmed`: its source could not ask the log.
 */
export type Verdict = 'new' | 'confirmed' | 'held' | 'older' | 'unconfirmed';

export interface Lesson {
  readonly knowledge: Knowledge;
  readonly verdict: Verdict;
}

/** Takes a state in. @param stale its source could not confirm it: only a kill counts then */
export function learn(known: Knowledge, received: FleetState, stale: boolean, now: number): Lesson {
  const verdict = judge(known.state, received, stale);
  switch (verdict) {
    case 'new': {
      const adopted: Knowledge = { ...known, state: received, held: null };
      return { knowledge: stale ? adopted : confirm(adopted, now), verdict };
    }
    case 'confirmed':
      return { knowledge: confirm(known, now), verdict };
    case 'held':
      return { knowledge: { ...known, held: received }, verdict };
    default:
      return { knowledge: known, verdict };
  }
}

/** The control plane says that what is known is current. */
export function confirm(known: Knowledge, now: number): Knowledge {
  return known.state === null ? known : { ...known, origin: 'live', confirmedAt: now, held: null };
}

function judge(known: FleetState | null, received: FleetState, stale: boolean): Verdict {
  const kills = !received.enabled;
  if (stale && !kills) return 'unconfirmed';
  if (known === null) return 'new';
  if (known.log_id !== received.log_id) {
    // A log that was lost and made again starts enabled: that must not lift a kill.
    return kills || received.last_operation !== 'initialized' ? 'new' : 'held';
  }
  if (received.generation !== known.generation) {
    return received.generation > known.generation ? 'new' : 'older';
  }
  const same =
    known.enabled === received.enabled && known.active_adapter_version === received.active_adapter_version;
  if (same) return stale ? 'unconfirmed' : 'confirmed';
  // Two histories under one generation: the kill is the one to believe.
  return kills ? 'new' : 'older';
}

export function confirmedSecondsAgo({ confirmedAt }: Knowledge, now: number): number | null {
  return confirmedAt === null ? null : Math.max(0, Math.round((now - confirmedAt) / 100) / 10);
}
