import { InvalidArgumentError } from 'commander';

import { NoteError, readVerifierKey, type VerifierKey } from '../audit/core/note.js';
import { readReceipts, type Receipt } from '../audit/core/receipt.js';

/** For an option that may be given again. */
export function addKey(text: string, before: readonly VerifierKey[] = []): readonly VerifierKey[] {
  try {
    return [...before, readVerifierKey(text)];
  } catch (error) {
    if (!(error instanceof NoteError)) throw error;
    throw new InvalidArgumentError(error.message);
  }
}

/** For an option that may be given again. */
export function addReceipts(text: string, before: readonly Receipt[] = []): readonly Receipt[] {
  const receipts = readReceipts(text);
  if (receipts === undefined)
    throw new InvalidArgumentError('A receipt is <log_id>/<position>/<leaf>; several have commas between.');
  return [...before, ...receipts];
}
