import type { StateView } from './answers.js';
import type { Paint } from './colour.js';
import { byWhom, rollbackWords, servingWords, verbOf } from './state-words.js';
import { at } from './time-words.js';

/** Names a state among all logs, as its ETag and the id of its stream event do. */
export function tagOf({ log_id, generation }: Pick<StateView, 'log_id' | 'generation'>): string {
  return `${log_id.slice(0, 8)}-${generation}`;
}

/** A new state in one line. */
export function newsLine(state: StateView, now: Date, paint: Paint): string {
  const { enabled, updated_at, last_operation, last_actor, last_reason, generation } = state;
  const word = enabled ? paint('green', 'ENABLED') : paint('red', 'DISABLED');
  const what = `${verbOf(last_operation)} ${at(updated_at, now)} by ${byWhom(last_actor, last_reason)}`;
  const parts = [
    word,
    `serves ${servingWords(state)}`,
    what,
    rollbackWords(state),
    `generation ${generation}`,
  ];
  return parts.join(' · ');
}
