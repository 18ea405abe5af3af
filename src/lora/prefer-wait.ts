import type { Caller } from '../http/caller.js';
import type { Wait } from './status.service.js';

const WAIT_MAX_SECONDS = 60;

/**
 * How long the caller would wait, by RFC 7240's `Prefer: wait=N`: 1 to 60 s. A preference that cannot be read is none,
 * as the RFC has it.
 */
export function preferredWait(caller: Caller): Wait | undefined {
  const { prefer } = caller.headers;
  const text = Array.isArray(prefer) ? prefer.join(',') : (prefer ?? '');
  // What follows a semicolon is a parameter of another preference; in quotes, a comma is a comma.
  const preferences =
    text.match(/(?:"(?:\\.|[^"\\])*"|[^,])+/g)?.map((each) => each.split(';')[0] ?? '') ?? [];
  const asked = preferences
    .map((each) => /^\s*wait\s*=\s*("?)(\d{1,9})\1\s*$/i.exec(each)?.[2])
    .find(Boolean);
  const seconds = Math.min(Number(asked ?? 0), WAIT_MAX_SECONDS);
  return seconds > 0 ? { seconds, signal: caller.gone() } : undefined;
}
