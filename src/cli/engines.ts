import type { Command } from 'commander';

import type { EngineBody, EnginePage } from './answers.js';
import { EXIT } from './ends.js';
import { engineLines } from './engine-words.js';
import { checkFleet } from './known-fleet.js';
import { fleetName, query } from './options.js';
import { scopeLines } from './scope-words.js';
import type { Run, Session } from './session.js';
import { settled } from './settled.js';
import { shellWord } from './text.js';

export function addEngines(program: Command, run: Run): void {
  const engines = program
    .command('engines')
    .description('which engines there are and what each one serves')
    .option('--fleet <name>', 'only of this fleet', fleetName)
    .action((options: { readonly fleet?: string }, command: Command) =>
      run(command, (session) => list(session, options.fleet)),
    );
  engines
    .command('remove')
    .description('take an engine off the register that is gone for good')
    .argument('<id>')
    .action((id: string, _: unknown, command: Command) => run(command, (session) => remove(session, id)));
}

async function list(session: Session, fleet: string | undefined): Promise<number> {
  const { client, terminal, json, now } = session;
  await checkFleet(session, fleet);
  const engines: EngineBody[] = [];
  let page: EnginePage;
  let cursor: string | null = null;
  do {
    const path = `/engines${query({ fleet, cursor: cursor ?? undefined })}`;
    page = (await client.get(path, 'engines')).body;
    engines.push(...page.engines);
    cursor = page.next_cursor;
  } while (cursor !== null);
  if (json) terminal.out(JSON.stringify({ ...page, engines }));
  else for (const line of [...scopeLines(page.scope), ...engineLines(engines, now())]) terminal.out(line);
  return EXIT.done;
}

async function remove(session: Session, id: string): Promise<number> {
  const { client, terminal, json } = session;
  const call = { method: 'DELETE' as const, path: `/engines/${encodeURIComponent(id)}` };
  const outcome = await client.send(call, 204);
  // That it is not there may be the doing of a try whose answer was lost.
  const gone =
    outcome.type === 'refused' && outcome.problem.code === 'unknown-engine' && outcome.mayHaveLanded;
  if (!gone) {
    const sent = { what: `the removal of engine ${id}`, again: ['engines', 'remove', shellWord(id)] };
    settled(outcome, sent, session);
  }
  if (json) terminal.out(JSON.stringify({ removed: id }));
  else terminal.out(`Engine ${id} stands registered no more.`);
  return EXIT.done;
}
