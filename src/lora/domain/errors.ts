import type { FleetState } from './state.js';

export type RefusalCode =
  | 'unknown-fleet'
  | 'no-state-yet'
  | 'kill-switch-active'
  | 'killed-meanwhile'
  | 'generation-mismatch'
  | 'idempotency-key-reused';

/** A request was understood and is refused: nothing was appended. */
export class Refusal extends Error {
  override readonly name = 'Refusal';

  constructor(
    readonly code: RefusalCode,
    /** For people: why. */
    detail: string,
    /** The committed state that the refusal rests on; null where there is none. */
    readonly state: FleetState | null,
  ) {
    super(detail);
  }

  /** What a person in a hurry must read beside the reason. */
  get notice(): string {
    const enabled = this.state?.enabled;
    const lora = enabled === undefined ? '' : ` LoRA is ${enabled ? 'ENABLED' : 'DISABLED'}.`;
    return `Nothing was changed.${lora}`;
  }
}

const NAMES_SHOWN = 20;

/** Names the fleets there are: a slip must not look like an answer. */
export class UnknownFleet extends Refusal {
  constructor(
    private readonly fleet: string,
    private readonly names: readonly string[],
  ) {
    const more = names.length > NAMES_SHOWN ? ', …' : '';
    const known = names.slice(0, NAMES_SHOWN).join(', ') + more;
    const are = known === '' ? '' : ` The fleets are: ${known}.`;
    super('unknown-fleet', `There is no fleet ${fleet}.${are}`, null);
  }

  /** The same for somebody who may know of these fleets only. */
  among(fleets: readonly string[]): UnknownFleet {
    return new UnknownFleet(
      this.fleet,
      this.names.filter((name) => fleets.includes(name)),
    );
  }
}

/** For a call over all fleets by somebody who has only these. */
export function noneOf(fleets: readonly string[]): Refusal {
  return new Refusal('unknown-fleet', `None of these fleets exists: ${fleets.join(', ')}.`, null);
}

/** The log cannot be reached or cannot answer in time. */
export class LogUnavailable extends Error {
  override readonly name = 'LogUnavailable';

  constructor(
    /** For people; of a read it says what could not be read. */
    detail: string,
    /** Of a command: `none` when it is certain that nothing was appended, else `unknown`. Absent for reads. */
    readonly outcome?: 'none' | 'unknown',
    /** Sent again with this key, an unknown outcome is settled. */
    readonly idempotencyKey?: string,
    options?: ErrorOptions,
  ) {
    super(detail, options);
  }
}
