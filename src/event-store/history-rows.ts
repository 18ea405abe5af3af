import type { FleetState } from '../lora/domain/state.js';

/** A part of the log; times are RFC 3339. */
export interface LogPart {
  /** Recorded at or after. */
  readonly since: string | null;
  /** Recorded before. */
  readonly until: string | null;
  /** The fleet asked for. */
  readonly fleet: string | null;
  /** Of these fleets: that one, or those that the reader may see; null is all. */
  readonly fleets: readonly string[] | null;
}

/** A row of the log with all that a verifier compares. */
export interface ExportedRow {
  readonly position: number;
  readonly recorded_at: string;
  readonly leaf_hash: string;
  /** The exact text that is hashed. */
  readonly body: string;
  /** The columns that copy members of the body. */
  readonly columns: Readonly<Record<string, unknown>>;
  readonly state: FleetState;
}

export interface ExportedAcknowledgement {
  readonly log_id: string;
  readonly generation: number;
  readonly engine: string;
  readonly fleet: string;
  readonly observed_adapters: readonly string[];
  readonly acknowledged_at: string;
}

export interface ExportedRoll {
  readonly log_id: string;
  readonly generation: number;
  readonly fleet: string;
  readonly killed_at: string;
  readonly engines: readonly string[];
}

export interface Adoption {
  readonly log_id: string;
  readonly previous_log_id: string;
  readonly position: number;
  readonly adopted_at: string;
}

/** Where the log stands, and under which names it has stood. */
export interface LogHead {
  readonly log_id: string;
  readonly position: number;
  readonly now: string;
  readonly adoptions: readonly Adoption[];
}

/** The log as seen from a time. */
export interface LogEnd {
  readonly log_id: string;
  readonly final: boolean;
}

export interface FleetAt {
  readonly fleet: string;
  readonly generation: number;
  readonly recorded_at: string;
  readonly state: FleetState;
}
