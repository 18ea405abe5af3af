/** What the agent needs of a fleet's state, as the control plane sends it. */
export interface FleetState {
  readonly fleet: string;
  readonly log_id: string;
  readonly generation: number;
  /** False: the kill-switch is active. */
  readonly enabled: boolean;
  /** Null is the base model; always null while disabled. */
  readonly active_adapter_version: string | null;
  readonly last_operation: string;
}

/** It becomes part of a path and of a name in the engine. */
const VERSION = /^[A-Za-z0-9][A-Za-z0-9._:+@-]{0,127}$/;

const MAX_LENGTH = 200;

export function isVersion(value: unknown): value is string {
  return typeof value === 'string' && VERSION.test(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_LENGTH;
}

/**
 * Reads a state of this fleet; undefined when it is none. Members that are not known are left out, so that a newer
 * control plane can say more. A kill needs no adapter that can be read.
 */
export function readState(value: unknown, fleet: string): FleetState | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { log_id, generation, enabled, active_adapter_version, last_operation, ...rest } = value as Partial<
    Record<string, unknown>
  >;
  if (rest.fleet !== fleet || !isText(log_id) || typeof enabled !== 'boolean') return undefined;
  if (typeof generation !== 'number' || !Number.isSafeInteger(generation) || generation < 1) return undefined;
  const adapter = enabled ? active_adapter_version : null;
  if (adapter !== null && !isVersion(adapter)) return undefined;
  // Without the operation nobody knows whether an operator enabled it.
  if (enabled && !isText(last_operation)) return undefined;
  return {
    fleet,
    log_id,
    generation,
    enabled,
    active_adapter_version: adapter,
    last_operation: isText(last_operation) ? last_operation : 'unknown',
  };
}

/** The state's ETag and stream id. */
export function tagOf({ log_id, generation }: FleetState): string {
  return `${log_id.slice(0, 8)}-${generation}`;
}
