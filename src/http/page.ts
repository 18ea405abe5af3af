/** A page of a list, and where the next one begins: null after the last. */
export interface Page<T> {
  readonly page: T[];
  readonly next_cursor: string | null;
}

/** The first `size` of what was found, where one more than that was looked for. */
export function pageOf<T>(found: readonly T[], size: number, cursorOf: (last: T) => string): Page<T> {
  const page = found.slice(0, size);
  const last = page.at(-1);
  return { page, next_cursor: found.length > size && last !== undefined ? cursorOf(last) : null };
}
