import { setTimeout as sleep } from 'node:timers/promises';

import type { Convergence } from './answers.js';
import { arrivalWords, missingWords } from './arrival-words.js';
import { EXIT, type ExitCode, unlessEnded } from './ends.js';
import { query } from './options.js';
import type { Session } from './session.js';

/** What was commanded, as a generation of a fleet. */
export interface Commanded {
  readonly fleet: string;
  readonly generation: number;
  readonly enabled: boolean;
}

const LOOK_MS = 200;
const AT_COMMIT = ' counted at the commit';

/**
 * Waits until a command has arrived on every engine of its fleet, and shows how far it is. The command is in the log
 * by then: it was sent without a wait, so that a replica that hangs could not hold it up for so long.
 */
export async function awaitArrival(
  session: Session,
  commanded: Commanded,
  seconds: number,
): Promise<Convergence | null> {
  const { client, terminal, interrupted } = session;
  const { fleet, generation, enabled } = commanded;
  const end = performance.now() + seconds * 1000;
  const path = `/lora/convergence${query({ fleet, generation: String(generation), counted: 'at-commit' })}`;
  let last: Convergence | null = null;
  for (;;) {
    const left = Math.max(0, end - performance.now());
    const answer = await unlessEnded(client.get(path, 'converged', left));
    if (answer !== undefined) last = answer.body;
    const over = last?.converged === true || last?.engines === 0 || last?.superseded_by !== undefined;
    if (over || interrupted.aborted || performance.now() >= end) break;
    const wait = `waiting ${Math.ceil((end - performance.now()) / 1000)} s more`;
    terminal.progress(`${fleet}: ${arrivalWords(last, enabled, AT_COMMIT)}; ${wait}`);
    await sleep(LOOK_MS, undefined, { signal: interrupted }).catch(() => undefined);
  }
  terminal.progress('');
  return last;
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
