import { type Command, Option } from 'commander';

import { EXIT } from './ends.js';
import { fleetName, pageSize, query } from './options.js';
import { type Paging, paged, printPage } from './paged.js';
import { refusalLines } from './refusal-words.js';
import type { Run, Session } from './session.js';

interface RefusalsOptions extends Paging {
  readonly fleet?: string;
  readonly actor?: string;
  readonly remoteAddress?: string;
  readonly code?: string;
  readonly since?: string;
  readonly until?: string;
}

/** What is on record, as the service has it. */
export const CODES: readonly string[] = [
  'unauthenticated',
  'too-many-attempts',
  'forbidden',
  'kill-switch-active',
  'killed-meanwhile',
  'generation-mismatch',
  'idempotency-key-reused',
];

export function addRefusals(program: Command, run: Run): void {
  program
    .command('refusals')
    .description('who tried what and was refused, newest first')
    .option('--fleet <name>', 'only what was meant for this fleet', fleetName)
    .option('--actor <actor>', 'only of this one; anonymous: not known')
    .option('--remote-address <address>', 'only from there')
    .addOption(new Option('--code <code>', 'only refused for this').choices(CODES))
    .option('--since <time>', 'refused then or later, such as 2026-11-24T02:14:07Z')
    .option('--until <time>', 'refused before')
    .option('--limit <n>', 'at most so many, up to 500; with --all: so many at a time', pageSize)
    .option('--cursor <cursor>', 'go on where a page before has ended')
    .option('--all', 'page through to the first refusal')
    .action((options: RefusalsOptions, command: Command) =>
      run(command, (session) => refusals(session, options)),
    );
}

async function refusals(session: Session, options: RefusalsOptions): Promise<number> {
  const { all, limit, cursor, remoteAddress, ...rest } = options;
  const page = await paged(session, 'refusal', { all, limit, cursor }, async (place) => {
    const path = `/audit/refusals${query({ ...rest, remote_address: remoteAddress, ...place })}`;
    const { body } = await session.client.get(path, 'refusals');
    return { ...body, entries: body.refusals };
  });
  const { entries, scope, next_cursor } = page;
  if (session.json) session.terminal.out(JSON.stringify({ refusals: entries, scope, next_cursor }));
  else printPage(session, refusalLines(entries, session.now()), page);
  return EXIT.done;
}
