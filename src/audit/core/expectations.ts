import type { Evidence } from './evidence.js';
import type { EventLine, LogLine } from './export-lines.js';
import type { TreeHead } from './proof.js';

/** What evidence says of the log at one place. */
export interface Expectation {
  /** Number of events, from the first, that it speaks of; for a receipt its position. */
  readonly at: number;
  /** What says so, to begin a sentence with. */
  readonly of: string;
  /** The root over the first `at` leaves. */
  readonly root?: Buffer;
  /** The leaf of the event at position `at`, hexadecimal. */
  readonly leaf?: string;
  /** What can be said without a look at the events: that they are not in this log. */
  readonly lost?: string;
  /** The root is another export's, which nobody has signed. */
  readonly isUnsigned?: true;
  /** Gets the root over the first `at` leaves. */
  readonly told?: (root: Buffer) => void;
}

/** What another export that is verified together with this one has to do with it. */
export interface Beside {
  /** Whether evidence of that log is the other export's, where it cannot be this one's. */
  isOthers(logId: string): boolean;
  /** What the other export says of this one. */
  expect(log: LogLine): Expectation | undefined;
  /** Gets each event, after it was found to be right. */
  seen?(line: EventLine): void;
}

/** How far each name's log is the log of this export: of a name before an adoption, only its beginning is. */
export function sharedWith({ log_id, adoptions }: LogLine): ReadonlyMap<string, number> {
  const shared = new Map([[log_id, Infinity]]);
  const byName = new Map(adoptions.map((adoption) => [adoption.log_id, adoption]));
  let limit = Infinity;
  for (
    let at = byName.get(log_id);
    at && !shared.has(at.previous_log_id);
    at = byName.get(at.previous_log_id)
  ) {
    limit = Math.min(limit, at.position);
    shared.set(at.previous_log_id, limit);
  }
  return shared;
}

/**
 * What the evidence says of the log of an export, in the order in which a reader of its events meets it.
 * @param useless gets a sentence for each piece of evidence that is of another log
 */
export function expectationsOf(
  evidence: Evidence,
  log: LogLine,
  useless: string[],
  beside?: Beside,
): Expectation[] {
  const shared = sharedWith(log);
  const expected: Expectation[] = [];
  const expect = (logId: string, expectation: Expectation): void => {
    const limit = shared.get(logId);
    const isOthers = beside?.isOthers(logId) ?? false;
    if (limit === undefined && isOthers) return;
    if (limit === undefined)
      useless.push(`${expectation.of} is of log ${logId}, the export is of log ${log.log_id}`);
    else if (expectation.at <= limit) expected.push(expectation);
    else if (!isOthers) {
      const lost = `this log continues log ${logId} from position ${limit}: what came after it there is lost`;
      expected.push({ at: limit, of: expectation.of, lost });
    }
  };
  for (const { name, logId, size, root, continues } of evidence.checkpoints) {
    expect(logId, { at: size, of: `Checkpoint ${name} of ${size} events`, root });
    if (continues === null || !shared.has(logId)) continue;
    const of = `Checkpoint ${name}, which says that log ${logId} continues log ${continues.logId}`;
    if (isKnown(log, logId, continues)) expected.push({ at: continues.size, of, root: continues.root });
    else expected.push({ at: continues.size, of, lost: 'the export does not know of that' });
  }
  for (const { log_id, position, leaf } of evidence.receipts)
    expect(log_id, { at: position, of: `The receipt of position ${position}`, leaf });
  const others = beside?.expect(log);
  if (others) expected.push(others);
  return expected.sort((one, other) => one.at - other.at);
}

function isKnown(log: LogLine, logId: string, { size, logId: old }: TreeHead & { logId: string }): boolean {
  return log.adoptions.some(
    (each) => each.log_id === logId && each.previous_log_id === old && each.position === size,
  );
}
