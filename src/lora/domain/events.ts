/** The format of {@link EventBody}: defined for ever in docs/event-format.md. */
export const SCHEMA_VERSION = 1;

interface Fact {
  readonly fleet: string;
  /** The version as commanded; null when the command named none. */
  readonly adapter_version: string | null;
  /** The current version (active, or while disabled the one to resume) before the event. */
  readonly from_version: string | null;
  /** The current version after the event; null is the base model. */
  readonly to_version: string | null;
  /** Whether LoRA is enabled after the event. */
  readonly enabled: boolean;
  readonly reason: string;
  /** A ticket or an alert. */
  readonly reference: string | null;
}

export interface LoraInitialized extends Fact {
  readonly type: 'LoraInitialized';
}
export interface LoraDisabled extends Fact {
  readonly type: 'LoraDisabled';
  readonly enabled: false;
}
export interface LoraEnabled extends Fact {
  readonly type: 'LoraEnabled';
  readonly enabled: true;
}
export interface LoraRolledBack extends Fact {
  readonly type: 'LoraRolledBack';
}
export interface AdapterDeployed extends Fact {
  readonly type: 'AdapterDeployed';
  readonly adapter_version: string;
  readonly to_version: string;
  readonly enabled: true;
}

/** What happened to one fleet, before anything is known of who asked and where it stands in the log. */
export type LoraEvent = LoraInitialized | LoraDisabled | LoraEnabled | LoraRolledBack | AdapterDeployed;

export const EVENT_TYPES = [
  'LoraInitialized',
  'LoraDisabled',
  'LoraEnabled',
  'LoraRolledBack',
  'AdapterDeployed',
] as const satisfies readonly LoraEvent['type'][];

/** Who asked, by which way. Travels with the command and is written into every event. */
export interface Origin {
  /** The authenticated identity; `anonymous` without access control, `system` at boot. */
  readonly actor: string;
  /** How the actor was authenticated. */
  readonly auth: string;
  /** What the client claims to be. */
  readonly source: string | null;
  readonly remote_address: string | null;
  readonly request_id: string;
}

/** The event as it is stored and hashed: every member present, null where there is nothing. */
export type EventBody = LoraEvent &
  Origin & {
    readonly schema_version: number;
    /** UUIDv7. */
    readonly id: string;
    readonly idempotency_key: string;
  };
