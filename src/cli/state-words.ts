import type { StateView } from '../lora/domain/view.js';
import type { Paint } from './colour.js';
import { printable, versionName } from './text.js';
import { since } from './time-words.js';

/** An event that is told of: the newest of a state, or the one that disabled it. */
export interface Told {
  readonly recorded_at: string;
  readonly actor: string;
  readonly reason: string;
}

const VERBS: Readonly<Partial<Record<string, string>>> = {
  initialized: 'made',
  disabled: 'disabled',
  enabled: 'enabled',
  rollback: 'rolled back',
  deployed: 'deployed',
};

export function verbOf(operation: string): string {
  return VERBS[operation] ?? printable(operation);
}

export function lastOf(state: StateView): Told {
  return { recorded_at: state.updated_at, actor: state.last_actor, reason: state.last_reason };
}

/**
 * What counts, first: whether LoRA is on, since when, by whom and why.
 * @param disabledBy the event that disabled it, undefined when that is not known
 */
export function switchWords(state: StateView, disabledBy: Told | undefined, now: Date, paint: Paint): string {
  if (state.enabled) {
    const { recorded_at, actor, reason } = lastOf(state);
    const what = `${versionName(state.active_adapter_version)} ${verbOf(state.last_operation)}`;
    return `${paint('green', 'ENABLED')} · ${what} ${since(recorded_at, now)} by ${byWhom(actor, reason)}`;
  }
  const disabled = paint('red', 'DISABLED');
  if (disabledBy === undefined) return disabled;
  const { recorded_at, actor, reason } = disabledBy;
  return `${disabled} since ${since(recorded_at, now)} by ${byWhom(actor, reason)}`;
}

export function byWhom(actor: string, reason: string): string {
  return `${printable(actor)}: ${printable(reason)}`;
}

export function rollbackWords({ rollback_target }: StateView): string {
  return `rollback now → ${versionName(rollback_target)}`;
}

/** What engines serve, and what an enable would bring. */
export function servingWords(state: StateView): string {
  if (state.enabled) return versionName(state.active_adapter_version);
  return `base model; enable brings ${versionName(state.resume_adapter_version)}`;
}
