import { scopeLines } from './scope-words.js';
import type { Session } from './session.js';
import { counted } from './text.js';

export interface Paging {
  /** At most so many; with `all`: so many at a time. */
  readonly limit?: number;
  readonly all?: true;
  readonly cursor?: string;
}

export interface Page<T> {
  readonly entries: readonly T[];
  readonly next_cursor: string | null;
  /** `partial`: the caller may not see all fleets. */
  readonly scope?: string | undefined;
}

/**
 * Reads pages until there are as many entries as were asked for, or with `all` to the last one. A page may end early,
 * where the service has read much and found little: what was asked for goes on behind it.
 */
export async function paged<T>(
  { terminal }: Session,
  noun: string,
  { limit = 100, all, cursor: from }: Paging,
  ask: (place: { limit: string; cursor?: string | undefined }) => Promise<Page<T>>,
): Promise<Page<T>> {
  const entries: T[] = [];
  let cursor: string | null = from ?? null;
  let scope: string | undefined;
  do {
    const size = String(all ? limit : limit - entries.length);
    const page = await ask({ limit: size, cursor: cursor ?? undefined });
    entries.push(...page.entries);
    ({ next_cursor: cursor, scope } = page);
    terminal.progress(cursor === null ? '' : `${counted(entries.length, noun)}, read down to ${cursor}`);
  } while (cursor !== null && (all || entries.length < limit));
  terminal.progress('');
  return { entries, scope, next_cursor: cursor };
}

/** Prints what was read, and how it goes on. */
export function printPage(
  { terminal }: Session,
  lines: readonly string[],
  { scope, next_cursor }: Omit<Page<unknown>, 'entries'>,
): void {
  for (const line of [...scopeLines(scope), ...lines]) terminal.out(line);
  if (next_cursor !== null) terminal.err(`There are older ones: --cursor ${next_cursor}, or --all.`);
}
