import type { Capabilities, Driver, EngineError } from './driver.js';
import { plan } from './plan.js';
import { boundedAdapters, boundedError, boundedName } from './report-bounds.js';
import type { Sight } from './reconciler.js';
import type { Target } from './target.js';

/**
 * `conflict`: a local kill, a lease or a rule of the start makes it serve something else than the state says.
 * `advisory`: as desired, but a request can get round it. `pending`: not yet as desired.
 */
export type EngineState = 'converged' | 'pending' | 'unreachable' | 'conflict' | 'unsupported' | 'advisory';

/** What the control plane hears of an engine. */
export interface EngineReport {
  /** The state under which the engine was seen so; null before any is known. */
  readonly observed_generation: number | null;
  readonly log_id: string | null;
  readonly observed_adapters: readonly string[];
  readonly state: EngineState;
  readonly local_kill: boolean;
  readonly capabilities: {
    readonly runtime_load: boolean;
    readonly kill_is_sticky: boolean;
    readonly observes_path: boolean;
    readonly drains: boolean;
  };
  readonly base_model: string | null;
  readonly agent_version: string;
  /** Of this start of the agent: two of them that live at once under one id are a conflict. */
  readonly instance_id: string;
  readonly last_error: string | null;
}

export interface ReportSource {
  /** Undefined before the engine was seen. */
  readonly sight: Sight | undefined;
  /** Why the last list did not come. */
  readonly trouble: EngineError | undefined;
  /** Why an act, or the last list, did not succeed. */
  readonly failure: EngineError | undefined;
  /** Versions whose load was given up, and may still land. */
  readonly mayStillLand: readonly string[];
  readonly localKill: boolean;
  readonly driver: Pick<Driver, 'capabilities' | 'advisory'>;
  readonly agentVersion: string;
  readonly instance: string;
}

export function reportOf({
  sight,
  trouble,
  failure,
  mayStillLand,
  localKill,
  driver,
  agentVersion,
  instance,
}: ReportSource): EngineReport {
  const state = sight?.under.state ?? null;
  const baseModel = sight?.observed.baseModel ?? null;
  const error = failure?.message ?? heldReason(sight?.under) ?? landingReason(mayStillLand);
  return {
    observed_generation: state?.generation ?? null,
    log_id: state?.log_id ?? null,
    observed_adapters: boundedAdapters(sight?.observed.adapters ?? []),
    state: stateOf({ sight, trouble, failure, mayStillLand }, driver.advisory),
    local_kill: localKill,
    capabilities: wireCapabilities(driver.capabilities),
    base_model: baseModel === null ? null : boundedName(baseModel),
    agent_version: agentVersion,
    instance_id: instance,
    last_error: error === undefined ? null : boundedError(error),
  };
}

function stateOf(
  {
    sight,
    trouble,
    failure,
    mayStillLand,
  }: Pick<ReportSource, 'sight' | 'trouble' | 'failure' | 'mayStillLand'>,
  advisory: boolean,
): EngineState {
  if (trouble?.kind === 'unreachable') return 'unreachable';
  if (failure?.kind === 'unsupported') return 'unsupported';
  if (!sight || trouble) return 'pending';
  const { observed, under } = sight;
  if (under.state === null && !under.localKill) return 'pending';
  if (overridden(under)) return 'conflict';
  if (plan(observed.adapters, under.desired.adapter).act !== 'nothing') return 'pending';
  // A kill is not proven while what it interrupted may still come.
  if (mayStillLand.some((version) => version !== under.desired.adapter)) return 'pending';
  return advisory ? 'advisory' : 'converged';
}

function overridden({ desired, state, held }: Target): boolean {
  return held !== null || (state !== null && state.active_adapter_version !== desired.adapter);
}

function landingReason(versions: readonly string[]): string | undefined {
  return versions.length === 0
    ? undefined
    : `a load of ${versions.join(', ')} was given up, and may still land`;
}

function heldReason(target: Target | undefined): string | undefined {
  if (!target?.held) return undefined;
  return `log ${target.held.log_id} is new, and no operator has enabled LoRA in it: obeyed is what was known before`;
}

function wireCapabilities(capabilities: Capabilities): EngineReport['capabilities'] {
  return {
    runtime_load: capabilities.runtimeLoad,
    kill_is_sticky: capabilities.killIsSticky,
    observes_path: capabilities.observesPath,
    drains: capabilities.drains,
  };
}
