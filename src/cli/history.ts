import { Argument, type Command, Option } from 'commander';

import { Ended, EXIT } from './ends.js';
import { eventLines, historyLines } from './history-words.js';
import { checkFleet } from './known-fleet.js';
import { fleetName, pageSize, position, query } from './options.js';
import { type Paging, paged, printPage } from './paged.js';
import type { Run, Session } from './session.js';

interface HistoryOptions extends Paging {
  readonly fleet?: string;
  readonly type?: string;
  readonly actor?: string;
  readonly adapterVersion?: string;
  readonly reference?: string;
  readonly reason?: string;
  readonly since?: string;
  readonly until?: string;
}

const TYPES = ['LoraInitialized', 'LoraDisabled', 'LoraEnabled', 'LoraRolledBack', 'AdapterDeployed'];

export function addHistory(program: Command, run: Run): void {
  program
    .command('history')
    .description('who did what, when and why, newest first; or all that is known of one event')
    .addArgument(new Argument('[position]', 'of one event').argParser(position))
    .option('--fleet <name>', 'only of this fleet', fleetName)
    .addOption(new Option('--type <type>', 'only of this type').choices(TYPES))
    .option('--actor <actor>', 'only by this one')
    .option('--adapter-version <version>', 'only what named this version')
    .option('--reference <text>', 'only of this ticket or alert')
    .option('--reason <text>', 'only with this in the reason')
    .option('--since <time>', 'recorded then or later, such as 2026-11-24T02:14:07Z')
    .option('--until <time>', 'recorded before')
    .option('--limit <n>', 'at most so many, up to 500; with --all: so many at a time', pageSize)
    .option('--cursor <cursor>', 'go on where a page before has ended')
    .option('--all', 'page through to the first event')
    .action((position: string | undefined, options: HistoryOptions, command: Command) =>
      run(command, (session) =>
        position === undefined ? history(session, options) : event(session, position, options),
      ),
    );
}

async function event(
  { client, terminal, json, now }: Session,
  position: string,
  filters: object,
): Promise<number> {
  if (Object.keys(filters).length > 0)
    throw new Ended(EXIT.usage, 'One event takes no filters. Nothing was sent.');
  const { body } = await client.get(`/lora/history/${position}`, 'leaf_hash');
  if (json) terminal.out(JSON.stringify(body));
  else for (const line of eventLines(body, now())) terminal.out(line);
  return EXIT.done;
}

async function history(session: Session, options: HistoryOptions): Promise<number> {
  const { all, limit, cursor, adapterVersion, ...rest } = options;
  await checkFleet(session, rest.fleet);
  const page = await paged(session, 'event', { all, limit, cursor }, async (place) => {
    const path = `/lora/history${query({ ...rest, adapter_version: adapterVersion, ...place })}`;
    const { body } = await session.client.get(path, 'events');
    return { ...body, entries: body.events };
  });
  const { entries: events, scope, next_cursor } = page;
  if (session.json) session.terminal.out(JSON.stringify({ events, scope, next_cursor }));
  else printPage(session, historyLines(events, session.now()), page);
  return EXIT.done;
}
