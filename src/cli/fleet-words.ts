import type { StateView } from './answers.js';
import { byWhom, servingWords, verbOf } from './state-words.js';
import { table } from './table.js';
import { absolute, age } from './time-words.js';

const HEADER = ['FLEET', 'LORA', 'SERVES', 'LAST', 'TIME', 'AGO', 'BY'];

/** Fleets as a table. */
export function fleetLines(fleets: readonly StateView[], now: Date): string[] {
  if (fleets.length === 0) return ['No fleets.'];
  const rows = fleets.map((state) => [
    state.fleet,
    state.enabled ? 'ENABLED' : 'DISABLED',
    servingWords(state),
    verbOf(state.last_operation),
    absolute(state.updated_at),
    age(state.updated_at, now),
    byWhom(state.last_actor, state.last_reason),
  ]);
  return table(HEADER, rows);
}
