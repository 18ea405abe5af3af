import { open, rename, rm, stat } from 'node:fs/promises';

import { type Command, Option } from 'commander';

import { Ended, EXIT } from './ends.js';
import { ExportTail, type ExportFormat } from './export-tail.js';
import { checkFleet } from './known-fleet.js';
import { fleetName, query } from './options.js';
import type { Run, Session } from './session.js';
import { printable } from './text.js';

interface ExportOptions {
  readonly format: ExportFormat;
  readonly since?: string;
  readonly until?: string;
  readonly fleet?: string;
  readonly output?: string;
}

const KINDS: Readonly<Record<ExportFormat, string>> = { ndjson: 'application/x-ndjson', csv: 'text/csv' };

export function addExport(program: Command, run: Run): void {
  program
    .command('export')
    .description('the log as a file; all of it, or nothing')
    .addOption(new Option('--format <format>').choices(Object.keys(KINDS)).default('ndjson'))
    .option('--fleet <name>', 'only of this fleet', fleetName)
    .option('--since <time>', 'recorded then or later, such as 2026-11-24T02:14:07Z')
    .option('--until <time>', 'recorded before')
    .option('-o, --output <file>', 'there only once it is whole; default, or -: standard output')
    .action((options: ExportOptions, command: Command) =>
      run(command, (session) => exportLog(session, options)),
    );
}

async function exportLog(session: Session, { output: given, ...part }: ExportOptions): Promise<number> {
  const { client, terminal, interrupted, json } = session;
  const output = given === '-' ? undefined : given;
  if (output !== undefined && (await isNoFile(output)))
    throw new Ended(EXIT.usage, `${printable(output)} is there and is no file. Nothing was sent.`);
  await checkFleet(session, part.fleet);
  const response = await client.open(`/lora/history/export${query({ ...part })}`, KINDS[part.format]);
  const cut = (): void => {
    response.destroy(new Error('interrupted'));
  };
  interrupted.addEventListener('abort', cut);
  const tail = new ExportTail(part.format);
  const received = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      tail.take(chunk);
      terminal.progress(tail.words());
      yield chunk;
    }
    // A proxy may end in good order what broke off behind it.
    if (!tail.isWhole()) throw new Error('its last line is missing');
  };
  try {
    if (output === undefined) for await (const chunk of received()) await terminal.write(chunk);
    else await keep(received(), output);
  } catch (error) {
    const why = printable(error instanceof Error ? error.message : String(error));
    const left = output === undefined ? '' : ` ${printable(output)} was not written.`;
    throw new Ended(EXIT.refused, `not done: the export is not whole: ${why} (${tail.words()}).${left}`);
  } finally {
    interrupted.removeEventListener('abort', cut);
    response.destroy();
  }
  if (output !== undefined && json)
    terminal.out(JSON.stringify({ output, lines: tail.lines, bytes: tail.bytes }));
  else if (output !== undefined) terminal.err(`${printable(output)}: ${tail.words()}.`);
  return EXIT.done;
}

/** A file put in the place of a device or a pipe would break what uses that. */
async function isNoFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === false;
}

/** Under a name of its own until it is whole and on the disk. */
async function keep(chunks: AsyncIterable<Buffer>, output: string): Promise<void> {
  const temporary = `${output}.${process.pid}.part`;
  const file = await open(temporary, 'wx', 0o644);
  try {
    for await (const chunk of chunks) await file.writeFile(chunk);
    await file.sync();
    await file.close();
    await rename(temporary, output);
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
}
