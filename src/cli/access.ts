import type { Command } from 'commander';

import { accessLines, changeLines } from './access-words.js';
import { Ended, EXIT } from './ends.js';
import { pageSize, query } from './options.js';
import { type Paging, paged, printPage } from './paged.js';
import type { Run, Session } from './session.js';

export function addAccess(program: Command, run: Run): void {
  program
    .command('access')
    .description('every change of who may do what, newest first; or who could do what at a time')
    .option('--at <time>', 'who could do what then, such as 2026-11-24T02:14:07Z')
    .option('--limit <n>', 'at most so many changes, up to 500; with --all: so many at a time', pageSize)
    .option('--cursor <cursor>', 'go on where a page before has ended')
    .option('--all', 'page through to the first change')
    .action(({ at: time, ...paging }: Paging & { readonly at?: string }, command: Command) =>
      run(command, (session) => (time === undefined ? changes(session, paging) : at(session, time, paging))),
    );
}

async function changes(session: Session, paging: Paging): Promise<number> {
  const { entries, next_cursor } = await paged(session, 'change', paging, async (place) => {
    const { body } = await session.client.get(`/audit/access${query(place)}`, 'changes');
    return { entries: body.changes, next_cursor: body.next_cursor };
  });
  if (session.json) session.terminal.out(JSON.stringify({ changes: entries, next_cursor }));
  else printPage(session, changeLines(entries, session.now()), { next_cursor });
  return EXIT.done;
}

async function at({ client, terminal, json }: Session, time: string, paging: object): Promise<number> {
  if (Object.keys(paging).length > 0) {
    throw new Ended(EXIT.usage, 'What was at one time has no pages. Nothing was sent.');
  }
  const { body } = await client.get(`/audit/access${query({ at: time })}`, 'tokens');
  if (json) terminal.out(JSON.stringify(body));
  else for (const line of accessLines(body)) terminal.out(line);
  return EXIT.done;
}
