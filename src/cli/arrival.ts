import { setTimeout as sleep } from 'node:timers/promises';

import type { Convergence } from './answers.js';
import { arrivalWords, missingWords } from './arrival-words.js';
import { EXIT, type ExitCode, unlessEnded } from './ends.js';
import { fewAtATime } from './few-at-a-time.js';
import { query } from './options.js';
import type { Session } from './session.js';
import { counted } from './text.js';

/** What was commanded, as a generation of a fleet. */
export interface Commanded {
  readonly fleet: string;
  readonly generation: number;
  readonly enabled: boolean;
}

const LOOK_MS = 200;
const AT_COMMIT = ' counted at the commit';

/**
 * Waits until commands have arrived on every engine of their fleets, and shows how far they are. The commands are in
 * the log by then: they were sent without a wait, so that a replica that hangs could not hold them up for so long.
 * @returns what was last known of each, in their order; null where it could not be asked within the time
 */
export async function awaitArrivals(
  { client, terminal, interrupted }: Session,
  commanded: readonly Commanded[],
  seconds: number,
): Promise<readonly (Convergence | null)[]> {
  const end = performance.now() + seconds * 1000;
  const left = (): number => (interrupted.aborted ? 0 : end - performance.now());
  const known = new Map<Commanded, Convergence>();
  for (let open = commanded; ;) {
    await fewAtATime(open, async (each) => {
      const ms = left();
      if (ms <= 0) return;
      const asked = { fleet: each.fleet, generation: String(each.generation), counted: 'at-commit' };
      const path = `/lora/convergence${query(asked)}`;
      const answer = await unlessEnded(client.get(path, 'converged', ms));
      if (answer !== undefined) known.set(each, answer.body);
    });
    open = open.filter((each) => !isSettled(known.get(each)));
    const [first] = open;
    if (first === undefined || left() <= 0) break;
    const words = arrivalWords(known.get(first) ?? null, first.enabled, AT_COMMIT);
    const others = open.length === 1 ? '' : `, and ${counted(open.length - 1, 'other fleet')}`;
    terminal.progress(`${first.fleet}: ${words}${others}; waiting ${Math.ceil(left() / 1000)} s more`);
    await sleep(LOOK_MS, undefined, { signal: interrupted }).catch(() => undefined);
  }
  terminal.progress('');
  return commanded.map((each) => known.get(each) ?? null);
}

/** Whether waiting can bring no other answer. */
function isSettled(convergence: Convergence | undefined): boolean {
  if (convergence === undefined) return false;
  const { converged, engines, superseded_by } = convergence;
  return converged === true || engines === 0 || superseded_by !== undefined;
}

/** `7 of 8 engines counted at the commit have let go · pending: e-7`: one that came later is not waited for. */
export function arrivedWords(convergence: Convergence | null, enabled: boolean): string {
  return [arrivalWords(convergence, enabled, AT_COMMIT), missingWords(convergence)]
    .filter((text) => text !== '')
    .join(' · ');
}

/** As the service has it: where no engine is registered it is not known to have arrived. */
export function exitOf(convergences: readonly (Convergence | null)[]): ExitCode {
  return convergences.every((each) => each?.converged === true) ? EXIT.done : EXIT.notConverged;
}
