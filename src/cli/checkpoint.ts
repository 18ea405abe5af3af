import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Command } from 'commander';

import { type Checkpoint, openCheckpoint } from '../audit/core/checkpoint.js';
import { NoteError, type VerifierKey } from '../audit/core/note.js';
import type { CheckpointBody } from './answers.js';
import { Ended, EXIT } from './ends.js';
import { addKey } from './evidence-options.js';
import type { Run, Session } from './session.js';
import { counted, printable } from './text.js';

interface CheckpointOptions {
  readonly fresh?: true;
  readonly key?: readonly VerifierKey[];
  readonly output?: string;
}

export function addCheckpoint(program: Command, run: Run): void {
  program
    .command('checkpoint')
    .description('the newest signed statement of what the log is; keep it where nobody can change it')
    .option('--fresh', 'of the log as it is now')
    .option('--key <key...>', 'who must have signed it, as GET /audit/key showed it before', addKey)
    .option('-o, --output <file>', 'never written over; in a folder it gets a name; default: standard output')
    .action((options: CheckpointOptions, command: Command) =>
      run(command, (session) => checkpoint(session, options)),
    );
}

async function checkpoint(session: Session, { fresh, key, output }: CheckpointOptions): Promise<number> {
  const { client, terminal, json } = session;
  const { body } = await client.get(`/audit/checkpoint${fresh ? '?fresh=true' : ''}`, 'note');
  const checked = key === undefined ? undefined : opened(body, key);
  const file = output === undefined ? undefined : await keep(body, output);
  if (json) {
    terminal.out(JSON.stringify({ ...body, checked: checked !== undefined, ...(file && { output: file }) }));
    return EXIT.done;
  }
  if (file === undefined) terminal.out(body.note.trimEnd());
  const signed = checked ? 'its signature is good' : 'its signature was not checked, for want of a --key';
  const kept = file === undefined ? '' : `${printable(file)}: `;
  terminal.err(`${kept}${counted(body.size, 'event')} of log ${printable(body.log_id)}; ${signed}.`);
  return EXIT.done;
}

/** @throws Ended when it is not what it says, signed by one of the keys */
function opened({ note, log_id, size }: CheckpointBody, keys: readonly VerifierKey[]): Checkpoint {
  try {
    const found = openCheckpoint(note, keys);
    if (found.logId === log_id && found.size === size) return found;
    throw new NoteError('malformed', `It is of ${found.size} events of log ${found.logId}.`);
  } catch (error) {
    if (!(error instanceof NoteError)) throw error;
    throw new Ended(EXIT.refused, `not done: the checkpoint is not good: ${printable(error.message)}`);
  }
}

/** @returns the path of the file @throws Ended when another text is there */
async function keep({ note, log_id, size }: CheckpointBody, output: string): Promise<string> {
  const isFolder = await stat(output).then(
    (found) => found.isDirectory(),
    () => false,
  );
  const file = isFolder ? join(output, `${log_id}-${size}.checkpoint`) : output;
  try {
    await writeFile(file, note, { flag: 'wx', flush: true });
  } catch (error) {
    const isThere = (await readFile(file, 'utf8').catch(() => '')) === note;
    const why = (error as Error).message;
    if (!isThere) throw new Ended(EXIT.refused, `not done: the checkpoint was not kept: ${printable(why)}.`);
  }
  return file;
}
