import type { EventBody } from '../../src/lora/domain/events.js';
import type { FleetState } from '../../src/lora/domain/state.js';

// What clients of several replicas saw, and what the log says in the end. All times are of one monotonic clock.

/** One event of the final log. */
export interface LogEntry {
  readonly position: number;
  /** RFC 3339, six digits. */
  readonly recordedAt: string;
  readonly event: EventBody;
  /** The stored row of the projection; null when there is none. */
  readonly state: FleetState | null;
}

/** What a client asked; `fleet` may be `*`. */
export interface Asked {
  readonly type: 'disable' | 'enable' | 'rollback' | 'deploy' | 'make';
  readonly fleet: string;
  readonly version: string | null;
  readonly ifMatch: number | null;
}

/** One try of a command, as its client saw it. */
export interface Try {
  readonly sentAt: number;
  readonly receivedAt: number;
  readonly replica: string;
  /** 0: no answer came. */
  readonly status: number;
  readonly code?: string;
  readonly outcome?: 'none' | 'unknown';
  /** Of the state answered. */
  readonly generation?: number;
  readonly replayed?: boolean;
}

/** A command with all its tries, in order; the last one settled it. */
export interface CommandRecord {
  readonly key: string;
  readonly asked: Asked;
  readonly tries: readonly Try[];
}

export interface ReadRecord {
  readonly sentAt: number;
  readonly receivedAt: number;
  /** Names one life of one process. */
  readonly replica: string;
  readonly fleet: string;
  readonly kind: 'linearizable' | 'eventual';
  readonly generation: number;
  /** Absent in a 304. */
  readonly shown?: Shown;
}

export interface Shown {
  readonly enabled: boolean;
  readonly version: string | null;
}

/** One connection of an engine that streams. */
export interface StreamRecord {
  readonly engine: string;
  readonly replica: string;
  readonly fleet: string;
  readonly sentAt: number;
  readonly states: readonly (Shown & { readonly generation: number; readonly receivedAt: number })[];
}

export interface History {
  readonly log: readonly LogEntry[];
  readonly commands: readonly CommandRecord[];
  readonly reads: readonly ReadRecord[];
  /** Of each engine in the order of its connections. */
  readonly streams: readonly StreamRecord[];
}

export const isAccepted = ({ status }: Try): boolean => status === 200 || status === 201;

/** Nobody has said what became of it. */
export const isUnsettled = ({ status, outcome }: Try): boolean =>
  status === 0 || (status === 503 && outcome !== 'none');

/** Refused, or told that nothing happened. */
export const isNothing = (each: Try): boolean => !isAccepted(each) && !isUnsettled(each);
