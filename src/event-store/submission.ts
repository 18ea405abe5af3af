import type { Meanwhile } from '../lora/domain/decide.js';
import type { EventBody, LoraEvent, Origin } from '../lora/domain/events.js';
import type { FleetState } from '../lora/domain/state.js';
import type { StoredState } from '../lora/domain/view.js';
import type { FleetSnapshot } from './log-memory.js';

/** One command on its way into the log. */
export interface Submission {
  /** A fleet's name; `*` is every fleet there is when the command commits. */
  readonly fleet: string;
  /** Which of the fleets there are `*` means; null is every one. */
  readonly among: readonly string[] | null;
  /** Kills go before everything that waits, and are taken even where nothing else is. */
  readonly isKill: boolean;
  readonly key: string;
  /** Of what the command asks; the same key with another one is refused. */
  readonly fingerprint: Buffer;
  readonly origin: Origin;
  /** The log as confirmed after the command had arrived; null where nothing can come between. */
  readonly confirmed: Confirmed | null;
  /** `performance.now()` at which the answer is due. */
  readonly deadline: number;
  /**
   * The decision on one fleet's state; null appends nothing. Pure: it may be asked more than once.
   * @throws Refusal
   */
  decide(
    fleet: string,
    stored: StoredState | null,
    meanwhile: Meanwhile | null,
    logId: string,
  ): LoraEvent | null;
}

export interface Confirmed {
  /** Every event up to here was known then. */
  readonly position: number;
  /** Of the memory that it comes from. */
  readonly epoch: number;
}

/** An event that was appended, with the states around it. */
export interface Appended {
  readonly event: EventBody;
  /** Its leaf hash, in hexadecimal. */
  readonly leaf: string;
  readonly before: FleetState | null;
  readonly after: FleetSnapshot;
}

/** How a submission ended. */
export type Outcome =
  | {
      readonly type: 'appended';
      readonly logId: string;
      readonly first: number;
      readonly last: number;
      /** Undefined when the answer to the append was lost and the log told later that it had happened. */
      readonly appended: readonly Appended[] | undefined;
    }
  | { readonly type: 'replayed'; readonly logId: string; readonly first: number; readonly last: number }
  | { readonly type: 'unchanged'; readonly logId: string; readonly snapshot: FleetSnapshot };
