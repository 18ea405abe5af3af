import type { Command } from 'commander';

import type { FleetPage, StateView } from './answers.js';
import { EXIT } from './ends.js';
import { fleetLines } from './fleet-words.js';
import { query } from './options.js';
import { scopeLines } from './scope-words.js';
import type { Run, Session } from './session.js';
import { printable } from './text.js';

export function addFleets(program: Command, run: Run): void {
  program
    .command('fleets')
    .description('which fleets there are, whether LoRA is on in each, and what each one serves')
    .option('--at <time>', 'as of a time such as 2026-11-24T02:14:07Z')
    .action((options: { readonly at?: string }, command: Command) =>
      run(command, (session) => list(session, options.at)),
    );
}

async function list({ client, terminal, json, now }: Session, at: string | undefined): Promise<number> {
  const fleets: StateView[] = [];
  let page: FleetPage;
  let cursor: string | null = null;
  do {
    page = (
      await client.get(`/fleets${query({ at, limit: '500', cursor: cursor ?? undefined })}`, 'next_cursor')
    ).body;
    fleets.push(...page.fleets);
    cursor = page.next_cursor;
  } while (cursor !== null);
  if (json) {
    terminal.out(JSON.stringify({ ...page, fleets }));
    return EXIT.done;
  }
  if (at !== undefined) {
    const end = page.final === true ? '' : ' (not final: nothing has been recorded since)';
    terminal.out(`As of ${printable(at)}${end}:`);
  }
  for (const line of [...scopeLines(page.scope), ...fleetLines(fleets, now())]) terminal.out(line);
  return EXIT.done;
}
