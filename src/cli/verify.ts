import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { Command } from 'commander';

import { evidenceOf, type Note } from '../audit/core/evidence.js';
import type { Verdict } from '../audit/core/log-verifier.js';
import type { VerifierKey } from '../audit/core/note.js';
import type { Receipt } from '../audit/core/receipt.js';
import { type ContinuationVerdict, verifyContinuation } from '../audit/core/verify-continuation.js';
import { verifyLog } from '../audit/core/verify-log.js';
import { addKey, addReceipts } from './evidence-options.js';
import { lineBatches } from './line-batches.js';
import type { Desk, RunOffline } from './session.js';
import { continuationLines, verdictLines } from './verify-words.js';

/** What scripts go by; a command line that is not understood ends with 2, too. */
const EXITS: Readonly<Record<Verdict['outcome'], number>> = { unaltered: 0, altered: 1, unknown: 2 };

const CHUNK_BYTES = 1 << 17;

const END_OF_HELP = `
Exit codes: 0 unaltered, 1 altered (the first position that is wrong is named), 2 cannot tell.
Take checkpoints and receipts that are older than the file, from where nobody who can change the log can change them.`;

interface VerifyOptions {
  readonly key?: readonly VerifierKey[];
  readonly checkpoint?: readonly string[];
  readonly receipt?: readonly Receipt[];
  readonly continues?: string;
}

export function addVerify(program: Command, run: RunOffline): void {
  program
    .command('verify')
    .description('whether an export is the log as it was signed; asks no service')
    .argument('<file>', 'of loractl export, NDJSON; - is standard input')
    .option('--key <key...>', 'who may have signed, as GET /audit/key shows it', addKey)
    .option('--checkpoint <file...>', 'signed checkpoints, or folders of them')
    .option('--receipt <receipt...>', 'of commands, as their header Lora-Receipt had them', addReceipts)
    .option('--continues <file>', 'an export of the log before a restore, or an earlier one of this log')
    .addHelpText('after', END_OF_HELP)
    .action((file: string, options: VerifyOptions, command: Command) =>
      run(command, (desk) => verify(desk, file, options)),
    );
}

async function verify({ terminal, json }: Desk, file: string, options: VerifyOptions): Promise<number> {
  const { verdict, words } = await judged(file, options).catch(unread);
  const code = EXITS[verdict.outcome];
  if (json) terminal.out(JSON.stringify({ exit_code: code, ...verdict }));
  else for (const line of words) terminal.out(line);
  return code;
}

interface Judged {
  readonly verdict: Verdict | ContinuationVerdict;
  readonly words: readonly string[];
}

async function judged(file: string, options: VerifyOptions): Promise<Judged> {
  const { key = [], checkpoint = [], receipt = [], continues } = options;
  const evidence = evidenceOf(await notesAt(checkpoint), key, receipt);
  if (continues === undefined) {
    const verdict = await verifyLog(linesOf(file), evidence);
    return { verdict, words: verdictLines(verdict) };
  }
  const verdict = await verifyContinuation(linesOf(file), linesOf(continues), evidence);
  return { verdict, words: continuationLines(verdict, file, continues) };
}

function unread(error: unknown): Judged {
  const why = [`It could not be read: ${(error as Error).message}.`];
  const verdict = { outcome: 'unknown', log_id: null, events: 0, covered: 0, position: null, why } as const;
  return { verdict, words: verdictLines(verdict) };
}

/** Opened when it is read. */
async function* linesOf(file: string): AsyncGenerator<readonly string[]> {
  yield* lineBatches(createReadStream(file, { highWaterMark: CHUNK_BYTES, ...(file === '-' && { fd: 0 }) }));
}

/** @param paths of files, or of folders of them */
async function notesAt(paths: readonly string[]): Promise<Note[]> {
  const notes: Note[] = [];
  for (const path of paths) {
    const isFolder = (await stat(path)).isDirectory();
    // Names with a dot in front are files that are being written.
    const names = isFolder ? (await readdir(path)).filter((name) => !name.startsWith('.')).sort() : [];
    const files = isFolder ? names.map((name) => join(path, name)) : [path];
    for (const name of files) notes.push({ name, text: await readFile(name, 'utf8') });
  }
  return notes;
}
