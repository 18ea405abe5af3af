import { leafHash } from '../audit/core/leaf.js';
import { LogUnavailable, Refusal } from '../lora/domain/errors.js';
import type { Decided, Entry, Prepared } from './batch.js';
import type { EntryResult } from './log-answers.js';
import type { LogMemory } from './log-memory.js';
import type { Appended, Outcome } from './submission.js';

/** What a batch's entry came to: an end, or another try. */
export type Verdict = Outcome | Error | 'conflict' | 'retry';

/** What became of each entry. The memory takes what was appended. */
export function verdicts(
  entries: readonly Entry[],
  decided: readonly Decided[],
  results: readonly EntryResult[],
  memory: LogMemory,
): Verdict[] {
  const logId = memory.logId ?? '';
  return entries.map((entry, index) => {
    const result = results[index];
    const decision = decided[index];
    if (!result || !decision) throw new Error('append_batch answered for other entries than were sent.');
    switch (result.status) {
      case 'appended': {
        const appended = decision.events.map((prepared, nth) =>
          take(prepared, result.first + nth, result.recorded_at[nth] ?? '', memory),
        );
        return { type: 'appended', logId, first: result.first, last: result.last, appended };
      }
      case 'duplicate': {
        const { first, last, id } = result;
        const ours = [...entry.prepared.values()].some(({ event }) => event.id === id);
        return ours
          ? { type: 'appended', logId, first, last, appended: undefined }
          : { type: 'replayed', logId, first, last };
      }
      case 'key_reused':
        return new Refusal(
          'idempotency-key-reused',
          `The Idempotency-Key ${entry.submission.key} belongs to another command, at position ${result.first}.`,
          memory.get(entry.submission.fleet)?.state ?? null,
        );
      case 'confirmed':
        return confirmed(entry, decision, results, memory);
      default:
        return result.status;
    }
  });
}

function confirmed(
  { submission }: Entry,
  { refusal, killedBy }: Decided,
  results: readonly EntryResult[],
  memory: LogMemory,
): Verdict {
  const killing = killedBy && results[killedBy.at.entry];
  if (killedBy && killing?.status === 'appended')
    return killedBy.refusal(killing.recorded_at[killedBy.at.nth] ?? '');
  if (refusal) return refusal;
  const snapshot = memory.get(submission.fleet);
  if (snapshot === null) {
    // A kill of all fleets that met none has killed nothing, and must not look like it.
    return new LogUnavailable('The log has no fleet yet. Nothing was changed.', 'none', submission.key);
  }
  return { type: 'unchanged', logId: memory.logId ?? '', snapshot };
}

function take(
  { event, body, stored, state }: Prepared,
  position: number,
  recordedAt: string,
  memory: LogMemory,
): Appended {
  const leaf = leafHash(position, recordedAt, body).toString('hex');
  return {
    event,
    leaf,
    before: stored?.state ?? null,
    after: memory.takeOwn({ ...event, position, recorded_at: recordedAt, leaf, state }),
  };
}
