import { InvalidArgumentError } from 'commander';

export const DEFAULT_URL = 'http://localhost:8003';

/** Addresses of replicas, separated by commas; `host:port` alone means http. */
export function urls(text: string): readonly URL[] {
  const found = text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')
    .map((each) => (/^[a-z][a-z+.-]*:\/\//i.test(each) ? each : `http://${each}`))
    .map((each) => (URL.canParse(each) ? new URL(each) : undefined));
  if (found.length === 0 || found.some((each) => each === undefined || !/^https?:$/.test(each.protocol))) {
    throw new InvalidArgumentError(`It must be http://host:port, or several of them with commas between.`);
  }
  return found.filter((each) => each !== undefined);
}

/** A whole number of seconds. */
export function seconds(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text) || Number(text) > 3600) {
    throw new InvalidArgumentError('It must be a number of seconds from 1 to 3600.');
  }
  return Number(text);
}

/** How many entries a page has. */
export function pageSize(text: string): number {
  if (!/^([1-9]\d?|[1-4]\d\d|500)$/.test(text)) throw new InvalidArgumentError('It must be 1 to 500.');
  return Number(text);
}

/** A place in the log. */
export function position(text: string): string {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError('It must be a position in the log.');
  return text;
}

const FLEET = /^[a-z0-9][a-z0-9-]{0,62}$/;

export function fleetName(text: string): string {
  if (text === '*') throw new InvalidArgumentError('All fleets are killed with kill --all.');
  if (!FLEET.test(text)) {
    throw new InvalidArgumentError('A fleet is named with lower-case letters, digits and hyphens.');
  }
  return text;
}

/** An Idempotency-Key, as a header can carry it. */
export function idempotencyKey(text: string): string {
  if (!/^[\x20-\x7e]{1,255}$/.test(text)) {
    throw new InvalidArgumentError('It must be 1 to 255 printable ASCII characters.');
  }
  return text;
}

/** A generation, or an ETag of the state with or without its quotes. */
export function generationTag(text: string): string {
  const [, tag] = /^"?([0-9a-f]{8}-\d{1,15}|\d{1,15})"?$/.exec(text) ?? [];
  if (tag === undefined) throw new InvalidArgumentError('It must be a generation, or the ETag of a state.');
  return tag;
}

/** The query of a call; what is undefined is left out. */
export function query(values: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`;
}
