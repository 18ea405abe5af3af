import { type StoredState, tagOf, viewOf } from '../lora/domain/view.js';

/** The wire format of the stream, all of it. */

/** How long a client shall wait before it connects again, in milliseconds. */
export const RETRY = Buffer.from('retry: 1000\n\n');

export const HEARTBEAT = Buffer.from(': heartbeat\n\n');

/** A state: its id is its ETag without the quotes, its data the state without histories. */
export function stateEvent(logId: string, stored: StoredState): Buffer {
  const id = tagOf(logId, stored.generation);
  return Buffer.from(`id: ${id}\nevent: state\ndata: ${JSON.stringify(viewOf(logId, stored))}\n\n`);
}

/** This replica has lost touch with the log; the stream ends after it. It has no id, so that a client resumes. */
export function staleEvent(asOf: Date | undefined): Buffer {
  return Buffer.from(`event: stale\ndata: ${JSON.stringify({ as_of: asOf?.toISOString() ?? null })}\n\n`);
}
