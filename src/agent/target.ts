import type { Desired } from './desired.js';
import type { FleetState } from './fleet-state.js';

/** A decision of what the engine must serve, and the state that it rests on. A newer one replaces it. */
export interface Target {
  readonly desired: Desired;
  /** Null before any is known. */
  readonly state: FleetState | null;
  /** Why the state that the control plane speaks of now is not the one that is obeyed. */
  readonly held: FleetState | null;
  readonly localKill: boolean;
  /** Monotonic milliseconds of the decision. */
  readonly at: number;
}

/** Whether the two are one decision, under one generation. */
export function sameTarget(a: Target, b: Target): boolean {
  return (
    a.desired.adapter === b.desired.adapter &&
    a.desired.why === b.desired.why &&
    a.localKill === b.localKill &&
    a.state?.log_id === b.state?.log_id &&
    a.state?.generation === b.state?.generation &&
    a.state?.enabled === b.state?.enabled &&
    a.held?.log_id === b.held?.log_id
  );
}
