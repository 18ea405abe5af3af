import type { EngineBody } from './answers.js';
import { table } from './table.js';
import { printable } from './text.js';
import { age } from './time-words.js';

const HEADER = ['ENGINE', 'FLEET', 'STATE', 'GENERATION', 'ADAPTERS', 'HEARD', 'ERROR'];

/** Engines as a table. */
export function engineLines(engines: readonly EngineBody[], now: Date): string[] {
  if (engines.length === 0) return ['No engine stands registered.'];
  const rows = engines.map((engine) => [
    engine.id,
    engine.fleet,
    engine.local_kill ? `${engine.state}, local kill` : engine.state,
    engine.observed_generation === null ? '-' : String(engine.observed_generation),
    engine.observed_adapters.length === 0 ? 'base model' : printable(engine.observed_adapters.join(', ')),
    engine.heard_at === null ? 'never' : `${age(engine.heard_at, now)} ago`,
    printable(engine.last_error ?? ''),
  ]);
  return table(HEADER, rows);
}
