import type { Histories } from './domain/histories.js';
import { type StoredState, viewOf } from './domain/view.js';

const texts = new WeakMap<object, string>();

/** The histories' members as JSON, without the braces; made once for each change of them. */
function historiesText(histories: Histories): string {
  const known = texts.get(histories);
  if (known !== undefined) return known;
  const lists = Object.entries(histories) as [string, readonly object[]][];
  const text = lists.map(([name, entries]) => `"${name}":[${entries.map(entryText).join(',')}]`).join(',');
  texts.set(histories, text);
  return text;
}

/** An entry stays the same while others join it. */
function entryText(entry: object): string {
  const known = texts.get(entry);
  if (known !== undefined) return known;
  const text = JSON.stringify(entry);
  texts.set(entry, text);
  return text;
}

/**
 * A fleet's state as JSON text, for answers to commands and reads.
 * @param histories left out when undefined
 * @param more further members
 */
export function stateText(
  logId: string,
  stored: StoredState,
  histories: Histories | undefined,
  more: Readonly<Record<string, unknown>> = {},
): string {
  const parts = [
    JSON.stringify(viewOf(logId, stored)).slice(1, -1),
    histories === undefined ? '' : historiesText(histories),
    JSON.stringify(more).slice(1, -1),
  ];
  return `{${parts.filter((part) => part !== '').join(',')}}`;
}
