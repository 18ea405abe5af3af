import { Ended, EXIT } from './ends.js';
import type { Session } from './session.js';
import type { Outcome } from './turns.js';
import { refused } from './client.js';

/** A command as it was sent. */
export interface Sent {
  /** `the kill of fleet default`. */
  readonly what: string;
  readonly key?: string;
  /** What to type to send the very same command again. */
  readonly again: readonly string[];
}

/**
 * The answer to a command, or why there is none.
 * @throws Ended that says in one line whether it landed, or what to type where that is not known
 */
export function settled<T>(outcome: Outcome<T>, { what, key, again }: Sent, { urlWords }: Session): T {
  if (outcome.type === 'done') return outcome.value;
  if (outcome.type === 'refused') throw refused(outcome.problem);
  if (!outcome.mayHaveLanded) {
    const more = { outcome: 'none', idempotency_key: key };
    throw new Ended(EXIT.refused, `not done: ${outcome.why}. Nothing was changed.`, more);
  }
  const line = ['loractl', ...again, ...urlWords].join(' ');
  throw new Ended(
    EXIT.unknown,
    `OUTCOME UNKNOWN: ${what} may have landed or not: ${outcome.why}. To settle it (it cannot land twice): ${line}`,
    { outcome: 'unknown', idempotency_key: key, again: line },
  );
}
