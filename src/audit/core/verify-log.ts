import type { Evidence } from './evidence.js';
import type { Beside } from './expectations.js';
import { Unreadable } from './export-lines.js';
import { LogVerifier, type Verdict } from './log-verifier.js';
import { Altered } from './verify-event.js';

/** The lines of an NDJSON export without their line feeds, in as many pieces as is convenient. */
export type Lines = AsyncIterable<readonly string[]>;

/**
 * Whether a log is what it was when the evidence was made. Memory holds one piece of the export and a state for each
 * fleet.
 */
export async function verifyLog(batches: Lines, evidence: Evidence, beside?: Beside): Promise<Verdict> {
  const log = new LogVerifier(evidence, beside);
  try {
    for await (const batch of batches) for (const line of batch) log.take(line);
    return log.end();
  } catch (error) {
    if (error instanceof Altered) return log.verdict('altered', [error.message], error.position);
    if (error instanceof Unreadable) return log.verdict('unknown', [error.message]);
    throw error;
  }
}
