import type { Refusal } from './answers.js';
import { table } from './table.js';
import { printable } from './text.js';
import { absolute, age } from './time-words.js';

const HEADER = ['TIME', 'AGO', 'ACTOR', 'FROM', 'CALL', 'FLEET', 'REFUSED FOR', 'LEFT OUT'];

/** Refusals as a table. */
export function refusalLines(refusals: readonly Refusal[], now: Date): string[] {
  if (refusals.length === 0) return ['No refusals.'];
  const rows = refusals.map((refusal) => [
    absolute(refusal.refused_at),
    age(refusal.refused_at, now),
    printable(refusal.actor),
    printable(refusal.remote_address ?? '-'),
    printable(refusal.call),
    printable(refusal.fleet ?? '-'),
    refusal.code,
    refusal.left_out === 0 ? '' : `${refusal.left_out} before it`,
  ]);
  return table(HEADER, rows);
}
