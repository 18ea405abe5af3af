import { readFile } from 'node:fs/promises';

import { type Command, InvalidArgumentError } from 'commander';

import { type Checkpoint, openCheckpoint } from '../audit/core/checkpoint.js';
import { NoteError, type VerifierKey } from '../audit/core/note.js';
import { isConsistent, isIncluded, type TreeHead } from '../audit/core/proof.js';
import { Ended, EXIT } from './ends.js';
import { addKey } from './evidence-options.js';
import type { Run, Session } from './session.js';
import { counted, printable } from './text.js';

interface ProofOptions {
  readonly key: readonly VerifierKey[];
  readonly checkpoint?: string;
}

export function addProof(program: Command, run: Run): void {
  program
    .command('proof')
    .description('that an event is in the log that was signed; the log itself is not needed for that')
    .argument('<position>', 'of the event', position)
    .requiredOption('--key <key...>', 'who must have signed, as GET /audit/key showed it before', addKey)
    .option('--checkpoint <file>', 'one that was kept: the log must be that log, grown')
    .action((at: number, options: ProofOptions, command: Command) =>
      run(command, (session) => proof(session, at, options)),
    );
}

async function proof(session: Session, at: number, { key, checkpoint }: ProofOptions): Promise<number> {
  const { client, terminal, json } = session;
  const { body } = await client.get(`/audit/proof/${at}`, 'path');
  const signed = opened(body.checkpoint, key, 'its checkpoint');
  const path = body.path.map((hash) => Buffer.from(hash, 'hex'));
  const isThere = body.position === at && isIncluded(Buffer.from(body.leaf, 'hex'), at - 1, signed, path);
  if (!isThere) throw bad(`the event is not in the log of ${signed.size} events that was signed`);
  if (checkpoint !== undefined) {
    const kept = opened(await textOf(checkpoint), key, checkpoint);
    if (kept.logId !== signed.logId)
      throw bad(`${checkpoint} is of log ${kept.logId}, the event of ${signed.logId}`);
    await mustGrow(session, kept, signed);
  }
  if (json) terminal.out(JSON.stringify({ ...body, kept_checkpoint: checkpoint ?? null }));
  else {
    const grown = checkpoint === undefined ? '' : `, which is that of ${printable(checkpoint)}, grown`;
    terminal.out(
      `PROVEN: position ${at} is in log ${signed.logId} of ${counted(signed.size, 'event')}, as signed${grown}.`,
    );
    terminal.out(`leaf ${printable(body.leaf)}`);
  }
  return EXIT.done;
}

/** @throws Ended unless the shorter one of two logs is the beginning of the longer one */
async function mustGrow({ client }: Session, one: TreeHead, other: TreeHead): Promise<void> {
  const [first, second] = one.size <= other.size ? [one, other] : [other, one];
  const { body } = await client.get(`/audit/consistency?from=${first.size}&to=${second.size}`, 'proof');
  const hashes = body.proof.map((hash) => Buffer.from(hash, 'hex'));
  if (!isConsistent(first, second, hashes))
    throw bad(
      `the first ${first.size} events are not those of the log of ${second.size}: one of the two was changed`,
    );
}

function opened(note: string, keys: readonly VerifierKey[], name: string): Checkpoint {
  try {
    return openCheckpoint(note, keys);
  } catch (error) {
    if (!(error instanceof NoteError)) throw error;
    throw bad(`${name}: ${error.message}`);
  }
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw bad((error as Error).message);
  }
}

function bad(why: string): Ended {
  return new Ended(EXIT.refused, `NOT PROVEN: ${printable(why)}.`);
}

function position(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError('It must be a position: 1, 2, 3, …');
  return Number(text);
}
