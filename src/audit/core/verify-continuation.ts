import type { EventBody } from '../../lora/domain/events.js';
import type { Evidence } from './evidence.js';
import { sharedWith } from './expectations.js';
import { jsonObject, type LogLine, logLineOf, Unreadable } from './export-lines.js';
import type { Outcome, Verdict } from './log-verifier.js';
import { Altered } from './verify-event.js';
import { type Lines, verifyLog } from './verify-log.js';

/** An event that the older log has and the newer one has not. */
export type LostEvent = { readonly position: number; readonly recorded_at: string } & Pick<
  EventBody,
  'type' | 'fleet' | 'to_version' | 'actor' | 'reason'
>;

/** Two exports: of a log before a restore, and of the log that goes on after it. */
export interface ContinuationVerdict {
  readonly outcome: Outcome;
  readonly newer: Verdict;
  readonly older: Verdict;
  /** The last event that both logs have; null where they are one log, or nothing says that one continues the other. */
  readonly from: number | null;
  readonly lost: { readonly events: number; readonly first: readonly LostEvent[] };
  /** Why nothing can be said of the two together. */
  readonly why: readonly string[];
}

const LOST_SHOWN = 1000;

/** So many events before the last one that both should have are compared one by one, all before them by their root. */
const COMPARED = 100_000;

/**
 * Whether both logs are what they were, whether the newer one is the older one up to where it says, and what was lost
 * there. Two exports of one log are compared in the same way: the later one must begin with the earlier one.
 */
export async function verifyContinuation(
  newerLines: Lines,
  olderLines: Lines,
  evidence: Evidence,
): Promise<ContinuationVerdict> {
  const { log: old, lines } = await begun(olderLines);
  let shared: ReadonlyMap<string, number> = new Map();
  let root: Buffer | undefined;
  let last = 0;
  const leaves = new Map<number, string>();
  const newer = await verifyLog(newerLines, evidence, {
    isOthers: (logId) => logId === old?.log_id,
    expect: (log) => {
      shared = sharedWith(log);
      const limit = old && shared.get(old.log_id);
      if (old === undefined || limit === undefined) return undefined;
      const told = (found: Buffer): void => {
        root = found;
      };
      last = Math.min(limit, old.position);
      return { at: last, of: 'The older export', told };
    },
    seen: ({ position, leaf_hash }) => {
      if (position > last - COMPARED && position <= last) leaves.set(position, leaf_hash);
    },
  });
  const names = [...shared.keys()];
  const later = names.slice(0, Math.max(0, names.indexOf(old?.log_id ?? '')));
  const limit = shared.get(old?.log_id ?? '');
  const lost = new Lost(limit ?? Infinity);
  const older = await verifyLog(lines, evidence, {
    isOthers: (logId) => later.includes(logId),
    expect: () => root && { at: last, of: 'The newer export', root, isUnsigned: true },
    seen: (line) => {
      const { position, leaf_hash } = line;
      if (root && (leaves.get(position) ?? leaf_hash) !== leaf_hash)
        throw new Altered(position, 'The newer export has another event there');
      lost.see(line);
    },
  });
  const why: string[] = [];
  if (newer.outcome !== 'altered' && old && limit === undefined)
    why.push(`Log ${newer.log_id ?? ''} does not say that it continues log ${old.log_id}.`);
  const isSigned = evidence.checkpoints.some(
    ({ logId, continues }) => later.includes(logId) && continues?.logId === old?.log_id,
  );
  if (limit !== undefined && limit !== Infinity && !isSigned)
    why.push('No checkpoint says that the one log continues the other: only the export does.');
  const outcomes = [newer.outcome, older.outcome, why.length > 0 ? 'unknown' : 'unaltered'] as const;
  const outcome = (['altered', 'unknown'] as const).find((each) => outcomes.includes(each)) ?? 'unaltered';
  const from = limit === undefined || limit === Infinity ? null : limit;
  return { outcome, newer, older, from, lost: { events: lost.events, first: lost.first }, why };
}

class Lost {
  events = 0;
  readonly first: LostEvent[] = [];

  constructor(private readonly after: number) {}

  see({ position, recorded_at, body }: { position: number; recorded_at: string; body: string }): void {
    if (position <= this.after) return;
    this.events += 1;
    if (this.first.length >= LOST_SHOWN) return;
    const { type, fleet, to_version, actor, reason } = JSON.parse(body) as EventBody;
    this.first.push({ position, recorded_at, type, fleet, to_version, actor, reason });
  }
}

/** Looks at the first line. @returns all lines, and what the first one says where it is of an export */
async function begun(all: Lines): Promise<{ log: LogLine | undefined; lines: Lines }> {
  const rest = all[Symbol.asyncIterator]();
  const first = await rest.next();
  const batch = first.done ? [] : first.value;
  async function* lines(): AsyncGenerator<readonly string[]> {
    yield batch;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  }
  return { log: logOf(batch[0] ?? ''), lines: lines() };
}

function logOf(line: string): LogLine | undefined {
  try {
    return logLineOf(jsonObject(line, ''));
  } catch (error) {
    if (error instanceof Unreadable) return undefined;
    throw error;
  }
}
