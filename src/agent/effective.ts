import type { Why } from './desired.js';
import type { EngineError } from './driver.js';
import { confirmedSecondsAgo, type Knowledge } from './knowledge.js';
import type { Sight } from './reconciler.js';
import type { Target } from './target.js';

/** What a gateway should serve now. */
export interface Effective {
  readonly fleet: string;
  /** The adapter's name in the engine; null is the base model, also while the engine has not got the adapter yet. */
  readonly adapter: string | null;
  readonly adapter_version: string | null;
  /** As the engine said last, also while it says nothing: callers must still go somewhere. Null until it has. */
  readonly base_model: string | null;
  readonly why: Why | 'loading' | 'engine-unreachable';
  readonly generation: number | null;
  readonly log_id: string | null;
  readonly enabled: boolean | null;
  readonly confirmed_seconds_ago: number | null;
  readonly local_kill: boolean;
}

export interface EffectiveSource {
  readonly fleet: string;
  readonly target: Target;
  readonly knowledge: Knowledge;
  readonly localKill: boolean;
  readonly sight: Sight | undefined;
  readonly trouble: EngineError | undefined;
  /** There is no engine to ask: only the gateway obeys. */
  readonly blind: boolean;
  readonly adapterName: (version: string) => string;
  readonly now: number;
}

export function effectiveOf(source: EffectiveSource): Effective {
  const { target, knowledge, sight, adapterName } = source;
  const { state } = knowledge;
  const wanted = target.desired.adapter;
  const why = wanted === null ? target.desired.why : hindrance(source, wanted);
  const version = why === target.desired.why ? wanted : null;
  return {
    fleet: source.fleet,
    adapter: version === null ? null : adapterName(version),
    adapter_version: version,
    base_model: sight?.observed.baseModel ?? null,
    why,
    generation: state?.generation ?? null,
    log_id: state?.log_id ?? null,
    enabled: state?.enabled ?? null,
    confirmed_seconds_ago: confirmedSecondsAgo(knowledge, source.now),
    local_kill: source.localKill,
  };
}

function hindrance({ blind, target, sight, trouble }: EffectiveSource, wanted: string): Effective['why'] {
  if (blind) return target.desired.why;
  if (trouble) return 'engine-unreachable';
  return sight?.observed.adapters.includes(wanted) ? target.desired.why : 'loading';
}
