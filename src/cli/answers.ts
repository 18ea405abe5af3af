import type { AccessAtBody, AccessChangesBody } from '../access/access.dto.js';
import type { RefusalsBody } from '../access/refusals.dto.js';
import type { CheckpointBody, ConsistencyBody, ProofBody } from '../audit/audit.dto.js';
import type { Receipt } from '../audit/core/receipt.js';
import type { Convergence } from '../engines/convergence.js';
import type { EngineBody } from '../engines/engines.dto.js';
import type { HistoryEvent, SummaryBody } from '../history/history.dto.js';
import type { RollbackEntry } from '../lora/domain/histories.js';
import type { StateView } from '../lora/domain/view.js';

/** The bodies of the control plane's answers, as its contract has them. */
export interface Status extends StateView {
  readonly rollback_history: readonly RollbackEntry[];
  readonly activation_history: readonly RollbackEntry[];
  readonly stale?: true;
  readonly as_of?: string | null;
  readonly final?: boolean;
  readonly notice?: string;
  readonly receipt?: Receipt;
}

export interface HistoryPage {
  readonly events: readonly HistoryEvent[];
  readonly next_cursor: string | null;
  /** `partial`: the caller may not see all fleets. */
  readonly scope?: string;
}

export type Summary = SummaryBody;

export interface FleetPage {
  readonly fleets: readonly StateView[];
  readonly next_cursor: string | null;
  /** Of a time in the past: whether this can never change. */
  readonly final?: boolean;
  /** `partial`: the caller may not see all fleets. */
  readonly scope?: string;
}

export interface EnginePage {
  readonly engines: readonly EngineBody[];
  readonly next_cursor: string | null;
  /** `partial`: the caller may not see all fleets. */
  readonly scope?: string;
}

export interface KilledFleets {
  readonly fleets: readonly (StateView & { readonly notice?: string; readonly receipt?: Receipt })[];
  /** `partial`: the caller may not act on all fleets. */
  readonly scope?: string;
  /** Of a replay: the fleets that have been made since. */
  readonly notice?: string;
}

export type AccessChange = AccessChangesBody['changes'][number];
export type Refusal = RefusalsBody['refusals'][number];
export type { AccessAtBody, CheckpointBody, Convergence, EngineBody, HistoryEvent, StateView };

/** The bodies by a member that each of them always has: by it an answer is known to be the control plane's. */
export interface Bodies {
  readonly generation: Status;
  readonly converged: Convergence;
  readonly events: HistoryPage;
  readonly leaf_hash: HistoryEvent;
  readonly by_type: Summary;
  readonly next_cursor: FleetPage;
  readonly engines: EnginePage;
  readonly refusals: RefusalsBody;
  readonly changes: AccessChangesBody;
  readonly tokens: AccessAtBody;
  readonly fleets: KilledFleets;
  readonly note: CheckpointBody;
  readonly path: ProofBody;
  readonly proof: ConsistencyBody;
}

/** How the answer to a call is known: by such a member, or by the status of an answer without a body. */
export type Expected = keyof Bodies | 204;

export type BodyOf<E extends Expected> = E extends keyof Bodies ? Bodies[E] : null;
