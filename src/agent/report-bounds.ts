/** What the control plane takes in a report: more, or what is no text, would have it refuse the whole of it. */
const NAME_MAX = 256;
const ERROR_MAX = 500;
const ADAPTERS_MAX = 200;
const ADAPTERS_BYTES = 8 * 1024;

/** Engines answer with anything: also with half a character, or one that no database can hold. */
function boundedText(text: string, most: number): string {
  return text.replaceAll('\0', '\ufffd').slice(0, most).toWellFormed().trim();
}

export function boundedName(name: string): string {
  return boundedText(name, NAME_MAX) || '(no name)';
}

export function boundedError(message: string): string {
  return boundedText(message, ERROR_MAX) || '(no message)';
}

/** The first of them; never so few that one looks like all. */
export function boundedAdapters(adapters: readonly string[]): readonly string[] {
  let bytes = 0;
  return adapters
    .slice(0, ADAPTERS_MAX)
    .map(boundedName)
    .filter((name) => (bytes += Buffer.byteLength(JSON.stringify(name)) + 1) <= ADAPTERS_BYTES);
}
