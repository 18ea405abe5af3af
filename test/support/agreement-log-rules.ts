import { evolve, type FleetState } from '../../src/lora/domain/state.js';
import type { Rule } from './agreement-checker.js';
import type { LogEntry } from './agreement-history.js';

/** Gapless, rising in time, every key once for a fleet, and its fold is the stored projection. */
export const logIsWhole: Rule = ({ log }, _, { blame, count }) => {
  const states = new Map<string, FleetState>();
  const keys = new Set<string>();
  log.forEach((entry, at) => {
    count('events');
    const { position, recordedAt, event } = entry;
    if (position !== at + 1) blame(`gap: place ${at + 1} has position ${position}`);
    const before = log[at - 1];
    if (before && before.recordedAt >= recordedAt)
      blame(`time: position ${position} is not recorded after the one before`);
    const keyOfFleet = `${event.idempotency_key} ${event.fleet}`;
    if (keys.has(keyOfFleet)) blame(`twice: ${event.idempotency_key} is again at ${position}`);
    keys.add(keyOfFleet);
    const state = evolve(states.get(event.fleet) ?? null, event);
    states.set(event.fleet, state);
    if (!sameState(state, entry.state)) blame(`fold: position ${position} is not what its events give`);
  });
};

/** What was proven committed before a command was sent stands before it. */
export const orderIsReal: Rule = ({ log }, timeline, { blame }) => {
  for (const entry of log) {
    if (timeline.provenAt(entry) < timeline.ownSentAt(entry))
      blame(`order: ${told(entry)} stands before something that was known before it was sent`);
  }
};

/**
 * A kill wins over whatever was under way. From outside nobody can see under which state a replica had confirmed a
 * command, but its event carries when the replica first decided it: the id is a UUIDv7, given once. What was decided
 * before the newest kill before it was recorded had been confirmed before that kill, and must not stand behind it.
 * Replicas and database have one clock here.
 */
export const killsWin: Rule = ({ log }, _, { blame, count }) => {
  const kills = new Map<string, LogEntry>();
  for (const entry of log) {
    const { type, fleet, id } = entry.event;
    const kill = kills.get(fleet);
    if (type === 'LoraDisabled') kills.set(fleet, entry);
    else if (kill && type !== 'LoraInitialized') {
      count('commands behind kills');
      if (decidedAt(id) < Date.parse(kill.recordedAt))
        blame(`kill: ${told(entry)} was decided before the kill at ${kill.position} and stands behind it`);
    }
  }
};

/** The milliseconds since 1970 in a UUIDv7. */
function decidedAt(id: string): number {
  return parseInt(id.replaceAll('-', '').slice(0, 12), 16);
}

const told = ({ position, event }: LogEntry): string =>
  `${event.type} ${event.idempotency_key} at ${position}`;

function sameState(one: FleetState, other: FleetState | null): boolean {
  const text = (state: FleetState | null): string =>
    JSON.stringify(Object.entries(state ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)));
  return text(one) === text(other);
}
