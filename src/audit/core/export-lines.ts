/**
 * The lines of the NDJSON export, as docs/event-format.md has them. A verifier trusts none of it: what a member holds is
 * looked at before it is used.
 */
export const EXPORT_FORMAT = 'lora-log-export/1';

/** The first line. */
export interface LogLine {
  readonly format: string;
  readonly log_id: string;
  /** Of the log's end. */
  readonly position: number;
  /** Where one of these is neither null nor absent, the file is a part of the log. */
  readonly since?: string | null;
  readonly until?: string | null;
  readonly fleet?: string | null;
  readonly fleets?: readonly string[] | null;
  readonly adoptions: readonly AdoptionMember[];
}

export interface AdoptionMember {
  readonly log_id: string;
  readonly previous_log_id: string;
  /** Of the last event that both have. */
  readonly position: number;
}

/** @throws Unreadable */
export function logLineOf(line: Readonly<Record<string, unknown>>): LogLine {
  const log = line as unknown as LogLine;
  if (line.record !== 'log' || log.format !== EXPORT_FORMAT)
    throw new Unreadable(`Its first line does not say that it is a ${EXPORT_FORMAT}.`);
  const isOf = (each: Readonly<Record<string, unknown>> | null, ...names: readonly string[]): boolean =>
    Number.isSafeInteger(each?.position) &&
    (each?.position as number) >= 0 &&
    names.every((name) => typeof each?.[name] === 'string');
  const { adoptions }: { adoptions?: unknown } = line;
  if (!isOf(line, 'log_id') || !Array.isArray(adoptions))
    throw new Unreadable('Its first line has no log_id, no position or no adoptions.');
  if (!adoptions.every((each: Record<string, unknown> | null) => isOf(each, 'log_id', 'previous_log_id')))
    throw new Unreadable('Its first line has an adoption without log_id, previous_log_id or position.');
  if (new Set(log.adoptions.map((each) => each.log_id)).size < adoptions.length)
    throw new Unreadable('Its first line has two adoptions under one log_id.');
  return log;
}

export interface EventLine {
  readonly position: number;
  readonly recorded_at: string;
  readonly leaf_hash: string;
  readonly body: string;
  /** The columns that copy members of the body. */
  readonly columns: Readonly<Record<string, unknown>> | null;
  /** The row of the projection; null where there is none. */
  readonly state: unknown;
}

/** Counts the lines of each record before it. */
export interface EndLine {
  readonly events: number;
}

/** The columns that the database copies from members of the body. */
export const COPIED = [
  ...['id', 'type', 'fleet', 'adapter_version', 'from_version', 'to_version', 'enabled', 'reason'],
  ...['reference', 'actor'],
] as const;

/** The file is not an export, or not a whole one: nothing follows from it. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
}

/** @throws Unreadable */
export function jsonObject(text: string, what: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch {
    // Said below.
  }
  throw new Unreadable(`${what} is not a JSON object.`);
}
