import { activeVersion, type FleetState, resumeVersion, rollbackTarget } from './state.js';

/** A row of the projection: the state of a fleet as of one event. */
export interface StoredState {
  readonly fleet: string;
  /** Position of the event that made this state. */
  readonly generation: number;
  /** RFC 3339 UTC, microseconds. */
  readonly recordedAt: string;
  readonly state: FleetState;
}

/** A fleet's state as readers see it, without the two histories. */
export interface StateView {
  readonly fleet: string;
  readonly generation: number;
  readonly log_id: string;
  readonly enabled: boolean;
  readonly active_adapter_version: string | null;
  readonly previous_adapter_version: string | null;
  readonly resume_adapter_version: string | null;
  readonly rollback_target: string | null;
  readonly last_operation: string;
  readonly last_reason: string;
  readonly last_actor: string;
  readonly updated_at: string;
}

/** The one place that gives the state its wire names. */
export function viewOf(logId: string, stored: StoredState): StateView {
  const { state } = stored;
  return {
    fleet: stored.fleet,
    generation: stored.generation,
    log_id: logId,
    enabled: state.enabled,
    active_adapter_version: activeVersion(state),
    previous_adapter_version: state.previous,
    resume_adapter_version: resumeVersion(state),
    rollback_target: rollbackTarget(state),
    last_operation: state.last_operation,
    last_reason: state.last_reason,
    last_actor: state.last_actor,
    updated_at: stored.recordedAt,
  };
}

/** Names a generation of one log: the ETag of a state (in quotes) and the id of a stream event. */
export function tagOf(logId: string, generation: number): string {
  return `${logId.slice(0, 8)}-${generation}`;
}

/**
 * Whether an `If-Match` or `If-None-Match` value names this generation: `*`, or one of a list of tags, quoted or
 * not, weak or not; with `bare` also the generation alone.
 */
export function tagMatches(header: string, tag: string, bare: boolean): boolean {
  const generation = tag.slice(tag.indexOf('-') + 1);
  return header.split(',').some((part) => {
    const value = part
      .trim()
      .replace(/^W\//, '')
      .replace(/^"(.*)"$/, '$1');
    return value === '*' || value === tag || (bare && value === generation);
  });
}
