import { LogUnavailable } from '../lora/domain/errors.js';
import type { Pending } from './lane-queue.js';

/**
 * Asks the database.
 * @param outcome of a change, when the database does not answer
 * @throws LogUnavailable with that sentence when it does not answer
 */
export async function ask<T>(
  question: () => Promise<T>,
  sentence = 'The log cannot be read now.',
  outcome?: 'none' | 'unknown',
): Promise<T> {
  try {
    return await question();
  } catch (error) {
    throw new LogUnavailable(sentence, outcome, undefined, { cause: error });
  }
}

export function tooLate({ submission: { key }, cause }: Pending, mayHaveHappened: boolean): LogUnavailable {
  const what = mayHaveHappened
    ? 'Whether the command took effect is unknown: send it again with the same Idempotency-Key.'
    : 'Nothing was changed by this try. Send the command again.';
  return new LogUnavailable(
    `The log did not answer in time. ${what}`,
    mayHaveHappened ? 'unknown' : 'none',
    key,
    { cause },
  );
}

export function refusedByLog({ submission: { key }, uncertain }: Pending, cause: Error): LogUnavailable {
  const what = uncertain
    ? 'Whether an earlier try took effect is unknown: send the command again with the same Idempotency-Key.'
    : 'Nothing was changed by this try.';
  const outcome = uncertain ? 'unknown' : 'none';
  return new LogUnavailable(`The log cannot take the command now. ${what}`, outcome, key, { cause });
}
