import type { ControlPlane } from './control-plane.js';
import type { FleetState } from './fleet-state.js';
import type { Verdict } from './knowledge.js';
import type { Timing } from './timing.js';

/** Who is told what the control plane says. */
export interface Listener {
  /** The state that is known and confirmed, to ask only for what is newer; undefined to ask for the state itself. */
  knownTag(): string | undefined;
  learn(state: FleetState, stale: boolean): Verdict;
  /** The control plane says that this tag is current. */
  confirm(tag: string): void;
}

export interface Session {
  readonly replica: ControlPlane;
  readonly listener: Listener;
  readonly timing: Timing;
  /** Confirmations are asked for when they come no more often than this; 0 for never. */
  readonly confirmMs: number;
  readonly signal: AbortSignal;
  /** Something came that makes sense. */
  heard(): void;
}
