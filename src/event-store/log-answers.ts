import type { LoggedEvent } from '../lora/domain/histories.js';
import type { FleetState } from '../lora/domain/state.js';

/** What `log_since` answers. */
export interface LogSince {
  readonly log_id: string;
  readonly position: number;
  /** Of the event at the position asked; null when there is none. */
  readonly leaf: string | null;
  readonly rows: readonly LogRow[];
}

export interface LogRow extends Omit<LoggedEvent, 'recordedAt'> {
  readonly recorded_at: string;
  readonly leaf: string;
  readonly state: FleetState;
}

/** What `log_snapshot` answers, and what the log was called before, where an operator has named it anew. */
export const LOG_SNAPSHOT = `select log_snapshot() || jsonb_build_object(
  'former_log_ids', array(select previous_log_id from log_adoptions)) as answer`;

export interface LogSnapshot {
  readonly log_id: string;
  readonly former_log_ids: readonly string[];
  readonly position: number;
  readonly leaf: string | null;
  readonly states: readonly {
    readonly fleet: string;
    readonly generation: number;
    readonly recorded_at: string;
    readonly state: FleetState;
  }[];
}

/** What `append_batch` answers; without `results` nothing was done, because the log is another one. */
export interface BatchAnswer {
  readonly results?: readonly EntryResult[];
  readonly since: LogSince | null;
}

export type EntryResult =
  | {
      readonly status: 'appended';
      readonly first: number;
      readonly last: number;
      readonly recorded_at: string[];
    }
  | {
      readonly status: 'duplicate' | 'key_reused';
      readonly first: number;
      readonly last: number;
      /** Of the event at `first`. */
      readonly id: string;
    }
  | { readonly status: 'confirmed' | 'conflict' | 'retry' };
