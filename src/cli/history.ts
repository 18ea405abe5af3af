import { type Command, Option } from 'commander';

import type { HistoryEvent } from './answers.js';
import { EXIT } from './ends.js';
import { historyLines } from './history-words.js';
import { fleetName, query } from './options.js';
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
  readonly limit?: string;
  readonly cursor?: string;
  readonly all?: true;
}

const TYPES = ['LoraInitialized', 'LoraDisabled', 'LoraEnabled', 'LoraRolledBack', 'AdapterDeployed'];

export function addHistory(program: Command, run: Run): void {
  program
    .command('history')
    .description('who did what, when and why, newest first')
    .option('--fleet <name>', 'only of this fleet', fleetName)
    .addOption(new Option('--type <type>', 'only of this type').choices(TYPES))
    .option('--actor <actor>', 'only by this one')
    .option('--adapter-version <version>', 'only what named this version')
    .option('--reference <text>', 'only of this ticket or alert')
    .option('--reason <text>', 'only with this in the reason')
    .option('--since <time>', 'recorded then or later, such as 2026-11-24T02:14:07Z')
    .option('--until <time>', 'recorded before')
    .option('--limit <n>', 'at most so many, up to 500; with --all: so many at a time')
    .option('--cursor <cursor>', 'go on where a page before has ended')
    .option('--all', 'page through to the first event')
    .action((options: HistoryOptions, command: Command) =>
      run(command, (session) => history(session, options)),
    );
}

async function history(session: Session, { all, adapterVersion, ...rest }: HistoryOptions): Promise<number> {
  const { client, terminal, json, now } = session;
  const events: HistoryEvent[] = [];
  let cursor: string | null = rest.cursor ?? null;
  do {
    const filters: Record<string, string | undefined> = { ...rest, adapter_version: adapterVersion };
    const path = `/lora/history${query({ ...filters, cursor: cursor ?? undefined })}`;
    const { body: page } = await client.get(path, 'events');
    events.push(...page.events);
    cursor = page.next_cursor;
    terminal.progress(counted(events.length, 'event'));
  } while (all && cursor !== null);
  terminal.progress('');
  if (json) {
    terminal.out(JSON.stringify({ events, next_cursor: cursor }));
    return EXIT.done;
  }
  for (const line of historyLines(events, now())) terminal.out(line);
  if (cursor !== null) terminal.err(`There are older ones: --cursor ${cursor}, or --all.`);
  return EXIT.done;
}
