/**
 * What others wrote (reasons, names, whole answers of servers) must not move the cursor, colour the screen or turn
 * the direction of writing on the terminal of who reads it.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, '�');
}

/** Null is the base model. */
export function versionName(version: string | null): string {
  return version === null ? 'base model' : printable(version);
}

export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
}

/** A word as a shell takes it, quoted only where it must be. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
