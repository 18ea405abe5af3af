import { type Checkpoint, openCheckpoint } from './checkpoint.js';
import { NoteError, type VerifierKey } from './note.js';
import type { Receipt } from './receipt.js';

/** A signed checkpoint, and what to call it. */
export interface NamedCheckpoint extends Checkpoint {
  readonly name: string;
}

/** What a log is held against: made while it was whole, and kept elsewhere. */
export interface Evidence {
  readonly checkpoints: readonly NamedCheckpoint[];
  readonly receipts: readonly Receipt[];
  /** What was given as evidence and is none, a sentence each. */
  readonly useless: readonly string[];
}

/** A text that says of itself to be a checkpoint. */
export interface Note {
  readonly name: string;
  readonly text: string;
}

/** Keeps the notes that one of the keys has signed. */
export function evidenceOf(
  notes: readonly Note[],
  keys: readonly VerifierKey[],
  receipts: readonly Receipt[],
): Evidence {
  const checkpoints: NamedCheckpoint[] = [];
  const useless: string[] = [];
  for (const { name, text } of notes) {
    try {
      checkpoints.push({ name, ...openCheckpoint(text, keys) });
    } catch (error) {
      if (!(error instanceof NoteError)) throw error;
      useless.push(`${name}: ${error.message}`);
    }
  }
  return { checkpoints, receipts, useless };
}
