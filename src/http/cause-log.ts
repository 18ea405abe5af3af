import { Logger } from '@nestjs/common';

import type { LogUnavailable } from '../lora/domain/errors.js';

/** An outage fails every request: each message is logged once in so long. */
const AGAIN_MS = 10_000;
const MESSAGES_MAX = 100;

/** Logs why the log could not be reached, for operators; callers are not told. */
export class CauseLog {
  private readonly logger = new Logger('Http');
  private readonly loggedAt = new Map<string, number>();

  /** @param now `performance.now()` */
  note({ message, cause }: LogUnavailable, now: number): void {
    if (cause === undefined) return;
    const line = `${message} ${reasonFor(cause)}`;
    const before = this.loggedAt.get(line);
    if (before !== undefined && now - before < AGAIN_MS) return;
    if (this.loggedAt.size >= MESSAGES_MAX) this.loggedAt.clear();
    this.loggedAt.set(line, now);
    this.logger.warn(line);
  }
}

/** An error in one line that tells no secret: no addresses with passwords, and no values of a statement. */
export function reasonFor(error: unknown): string {
  // A refused connection to `localhost` is an AggregateError without a message of its own.
  if (error instanceof AggregateError) return error.errors.map(reasonFor).join('; ');
  if (!(error instanceof Error)) return 'An error of an unknown kind.';
  const code = 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : '';
  // What PostgreSQL says of data (class 22) and of constraints (class 23) quotes them.
  if (/^ \(2[23]...\)$/.test(code)) return `The server refused a value${code}`;
  const [line = ''] = error.message.replace(/[a-z][a-z+]*:\/\/\S+/gi, '…').split('\n');
  return `${line}${code}`;
}
