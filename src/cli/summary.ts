import type { Command } from 'commander';

import type { Summary } from './answers.js';
import { EXIT } from './ends.js';
import { checkFleet } from './known-fleet.js';
import { fleetName, pageSize, query } from './options.js';
import { scopeLines } from './scope-words.js';
import type { Run, Session } from './session.js';
import { summaryLines } from './summary-words.js';
import { counted } from './text.js';

interface SummaryOptions {
  readonly fleet?: string;
  readonly since?: string;
  readonly until?: string;
  readonly limit?: number;
  readonly all?: true;
}

export function addSummary(program: Command, run: Run): void {
  program
    .command('summary')
    .description('events counted, time spent disabled, and the kills, newest first')
    .option('--fleet <name>', 'only of this fleet', fleetName)
    .option('--since <time>', 'recorded then or later, such as 2026-11-24T02:14:07Z')
    .option('--until <time>', 'recorded before')
    .option('--limit <n>', 'at most so many kills, up to 500; with --all: so many at a time', pageSize)
    .option('--all', 'page through to the first kill')
    .action((options: SummaryOptions, command: Command) =>
      run(command, (session) => summary(session, options)),
    );
}

async function summary(session: Session, { all, limit, ...part }: SummaryOptions): Promise<number> {
  const { client, terminal, json, now } = session;
  const ask = async (cursor?: string): Promise<Summary> => {
    const asked = { ...part, limit: limit === undefined ? undefined : String(limit), cursor };
    return (await client.get(`/lora/history/summary${query(asked)}`, 'by_type')).body;
  };
  await checkFleet(session, part.fleet);
  const first = await ask();
  const kills = [...first.kills];
  let cursor = first.next_cursor;
  while (all && cursor !== null) {
    terminal.progress(counted(kills.length, 'kill'));
    const page = await ask(cursor);
    kills.push(...page.kills);
    cursor = page.next_cursor;
  }
  terminal.progress('');
  const whole = { ...first, kills, next_cursor: cursor };
  if (json) terminal.out(JSON.stringify(whole));
  else for (const line of [...scopeLines(first.scope), ...summaryLines(whole, now())]) terminal.out(line);
  if (!json && cursor !== null) terminal.err('There were more kills before these: --all.');
  return EXIT.done;
}
