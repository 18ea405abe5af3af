import type { Command } from 'commander';

import type { Convergence, Status } from './answers.js';
import { disablingEvent } from './disabling-event.js';
import { Ended, EXIT, unlessEnded } from './ends.js';
import { fleetName, query } from './options.js';
import type { Run, Session } from './session.js';
import { lastOf, type Told } from './state-words.js';
import { statusLines } from './status-words.js';
import { watch } from './watch.js';

interface StatusOptions {
  readonly fleet?: string;
  readonly at?: string;
  readonly watch?: true;
}

export function addStatus(program: Command, run: Run): void {
  program
    .command('status')
    .description('whether LoRA is on, since when, by whom and why')
    .option('--fleet <name>', 'the fleet; default: default', fleetName)
    .option('--at <time>', 'as of a time such as 2026-11-24T02:14:07Z')
    .option('--watch', 'go on with a line for each new state, until Ctrl-C')
    .action((options: StatusOptions, command: Command) =>
      run(command, (session) => status(session, options)),
    );
}

async function status(session: Session, { fleet, at, watch: goOn }: StatusOptions): Promise<number> {
  if (at !== undefined && goOn) throw new Ended(EXIT.usage, '--at and --watch do not go together.');
  const { client, terminal } = session;
  const [answer, convergence] = await Promise.all([
    client.get(`/lora/status${query({ fleet, at })}`, 'generation'),
    at === undefined ? convergenceOf(session, { fleet }) : null,
  ]);
  const state = answer.body;
  // A command may have come between the two.
  const moved = convergence !== null && convergence.generation !== state.generation;
  const seen = moved
    ? await convergenceOf(session, { fleet, generation: String(state.generation) })
    : convergence;
  if (session.json) {
    terminal.out(JSON.stringify({ ...state, convergence: seen }));
  } else {
    const disabledBy = await disabledByOf(session, state);
    const lines = statusLines({ state, convergence: seen, disabledBy, at }, session.now(), terminal.paint);
    for (const line of lines) terminal.out(line);
  }
  return goOn ? watch(session, state) : EXIT.done;
}

/** The state says enough without what is asked beside it: nobody waits long for that. */
const BESIDE_MS = 2000;

/** @returns null when it cannot be had */
async function convergenceOf(
  { client }: Session,
  asked: Readonly<Record<string, string | undefined>>,
): Promise<Convergence | null> {
  const path = `/lora/convergence${query(asked)}`;
  const answer = await unlessEnded(client.get(path, 'converged', BESIDE_MS));
  return answer === undefined ? null : answer.body;
}

/** The event that disabled a fleet may be older than its last one: a kill may be repeated, or a rollback follow it. */
async function disabledByOf({ client }: Session, state: Status): Promise<Told | undefined> {
  const { enabled, stale, fleet, generation, last_operation } = state;
  if (enabled) return undefined;
  const fallback = last_operation === 'disabled' ? lastOf(state) : undefined;
  if (stale) return fallback;
  // A cursor leaves out what came after this very state.
  const path = `/lora/history${query({ fleet, cursor: String(generation + 1) })}`;
  const answer = await unlessEnded(client.get(path, 'events', BESIDE_MS));
  if (answer === undefined) return fallback;
  const { events, next_cursor } = answer.body;
  return disablingEvent(events, next_cursor === null) ?? fallback;
}
