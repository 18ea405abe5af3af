import type { Knowledge } from './knowledge.js';

export type Why =
  | 'state'
  | 'recent-snapshot'
  | 'killed'
  | 'local-kill'
  | 'never-heard'
  | 'unconfirmed-snapshot'
  | 'lease-expired';

/** What the engine must serve. */
export interface Desired {
  /** An adapter version; null is the base model. */
  readonly adapter: string | null;
  readonly why: Why;
}

export interface Circumstances {
  readonly knowledge: Knowledge;
  readonly localKill: boolean;
  /** 0: without a lease, an unreachable control plane changes nothing. */
  readonly leaseMs: number;
  /** Monotonic milliseconds. */
  readonly now: number;
}

export function desired({ knowledge, localKill, leaseMs, now }: Circumstances): Desired {
  const { state, origin, confirmedAt } = knowledge;
  if (localKill) return baseModel('local-kill');
  if (state === null) return baseModel('never-heard');
  if (!state.enabled) return baseModel('killed');
  if (origin === 'old-snapshot') return baseModel('unconfirmed-snapshot');
  const expired = leaseMs > 0 && (confirmedAt === null || now - confirmedAt > leaseMs);
  if (expired) return baseModel('lease-expired');
  return { adapter: state.active_adapter_version, why: origin === 'live' ? 'state' : origin };
}

function baseModel(why: Why): Desired {
  return { adapter: null, why };
}
