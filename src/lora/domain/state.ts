import type { LoraEvent } from './events.js';

/** The format of {@link FleetState} in the projection; a replica that meets a newer one takes disables only. */
export const STATE_VERSION = 1;

export const TRAIL_MAX = 50;

export type Operation = 'initialized' | 'disabled' | 'enabled' | 'rollback' | 'deployed';

/** The state of a fleet that exists. What can be derived from it is derived: see the functions below. */
export interface FleetState {
  readonly state_version: number;
  /** False: the kill-switch is active. Only disable and enable move it. */
  readonly enabled: boolean;
  /**
   * The versions a rollback can walk back through, each once, newest last, at most {@link TRAIL_MAX}. The last
   * one is the current version: what is active, or while disabled what an enable brings back. Empty: base model.
   */
  readonly trail: readonly string[];
  /** The last version that was active before the latest change of the active one. */
  readonly previous: string | null;
  readonly last_operation: Operation;
  readonly last_reason: string;
  readonly last_actor: string;
}

/** No fleet of that name yet. */
export const initialState = null;

export function currentVersion(state: FleetState): string | null {
  return state.trail.at(-1) ?? null;
}

/** What engines must serve; null is the base model, always so while disabled. */
export function activeVersion(state: FleetState): string | null {
  return state.enabled ? currentVersion(state) : null;
}

/** What an enable without a version brings back; only while disabled. */
export function resumeVersion(state: FleetState): string | null {
  return state.enabled ? null : currentVersion(state);
}

/** What a rollback without a version chooses; null is the base model. */
export function rollbackTarget(state: FleetState): string | null {
  return state.trail.at(-2) ?? null;
}

const OPERATIONS = {
  LoraInitialized: 'initialized',
  LoraDisabled: 'disabled',
  LoraEnabled: 'enabled',
  LoraRolledBack: 'rollback',
  AdapterDeployed: 'deployed',
} as const satisfies Record<LoraEvent['type'], Operation>;

/** The state after an event. Deterministic: the log folded with it gives the projection, row by row. */
export function evolve(state: FleetState | null, event: LoraEvent & { readonly actor: string }): FleetState {
  const before: FleetState = state ?? {
    state_version: STATE_VERSION,
    enabled: event.enabled,
    trail: [],
    previous: null,
    last_operation: 'initialized',
    last_reason: event.reason,
    last_actor: event.actor,
  };
  const trail = trailAfter(before, event);
  const left = activeVersion(before);
  const active = event.enabled ? (trail.at(-1) ?? null) : null;
  const after: FleetState = {
    state_version: Math.max(before.state_version, STATE_VERSION),
    enabled: event.enabled,
    trail,
    previous: left !== null && left !== active ? left : before.previous,
    last_operation: OPERATIONS[event.type],
    last_reason: event.reason,
    last_actor: event.actor,
  };
  // Of a newer version there may be members of which this one does not know. To copy them always takes far longer.
  return before.state_version > STATE_VERSION ? { ...before, ...after } : after;
}

function trailAfter(before: FleetState, event: LoraEvent): readonly string[] {
  const version = event.adapter_version;
  switch (event.type) {
    case 'LoraDisabled':
      return before.trail;
    case 'LoraInitialized':
    case 'AdapterDeployed':
      return version === null ? before.trail : goTo(before.trail, version, 'append');
    case 'LoraEnabled':
      return version === null
        ? before.trail
        : goTo(before.trail, version, before.enabled ? 'append' : 'replace');
    case 'LoraRolledBack':
      return version === null ? before.trail.slice(0, -1) : goTo(before.trail, version, 'replace');
    default:
      return unreachable(event);
  }
}

/** A version on the trail is gone back to, which drops all after it; a new one joins, or takes the current's place. */
function goTo(trail: readonly string[], version: string, joining: 'append' | 'replace'): readonly string[] {
  const at = trail.indexOf(version);
  if (at >= 0) return trail.slice(0, at + 1);
  return [...(joining === 'append' ? trail : trail.slice(0, -1)), version].slice(-TRAIL_MAX);
}

function unreachable(value: never): never {
  throw new Error(`Unknown event ${JSON.stringify(value)}`);
}
