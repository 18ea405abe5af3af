import { Argument, type Command, Option } from 'commander';

import type { HistoryEvent } from './answers.js';
import { Ended, EXIT } from './ends.js';
import { eventLines, historyLines } from './history-words.js';
import { fleetName, pageSize, position, query } from './options.js';
import type { Run, Session } from './session.js';
import { counted } from './text.js';

interface HistoryOptions {
  readonly fleet?: string;
  readonly type?: string;
  readonly actor?: string;
  readonly adapterVersion?: string;
  readonly reference?: string;
  readonly reason?: string;
  readonly since?: string;
  readonly until?: string;
  readonly limit?: number;
  readonly cursor?: string;
  readonly all?: true;
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

/** A page may end early, where the service has read much and found little: what was asked for goes on behind it. */
async function history(session: Session, options: HistoryOptions): Promise<number> {
  const { all, adapterVersion, limit = 100, ...rest } = options;
  const { client, terminal, json, now } = session;
  const events: HistoryEvent[] = [];
  let cursor: string | null = rest.cursor ?? null;
  do {
    const filters: Record<string, string | undefined> = { ...rest, adapter_version: adapterVersion };
    const size = String(all ? limit : limit - events.length);
    const path = `/lora/history${query({ ...filters, limit: size, cursor: cursor ?? undefined })}`;
    const { body: page } = await client.get(path, 'events');
    events.push(...page.events);
    cursor = page.next_cursor;
    terminal.progress(cursor === null ? '' : `${counted(events.length, 'event')}, read down to ${cursor}`);
  } while (cursor !== null && (all || events.length < limit));
  terminal.progress('');
  if (json) {
    terminal.out(JSON.stringify({ events, next_cursor: cursor }));
    return EXIT.done;
  }
  for (const line of historyLines(events, now())) terminal.out(line);
  if (cursor !== null) terminal.err(`There are older ones: --cursor ${cursor}, or --all.`);
  return EXIT.done;
}
