import type { Rule } from './agreement-checker.js';
import {
  type Asked,
  isAccepted,
  isNothing,
  isUnsettled,
  type LogEntry,
  type Try,
} from './agreement-history.js';
import { firstWhere, type Timeline } from './agreement-timeline.js';

const EXPECTED = new Set([0, 200, 201, 404, 409, 412, 503]);

export const answersAreExpected: Rule = ({ commands }, _, { blame }) => {
  for (const { key, tries } of commands) {
    for (const { status, code } of tries)
      if (!EXPECTED.has(status)) blame(`answer: ${key} was answered ${status} ${code ?? ''}`);
  }
};

/**
 * Acknowledged: in the log exactly once for each fleet, where the answer says. Refused, or outcome `none`: not at
 * all, unless another try was accepted, or one that was given up without an answer may still have been under way.
 * Unknown: settled by its key, and what settled it agrees.
 */
export const commandsAreSettled: Rule = ({ commands }, timeline, { blame, count }) => {
  for (const { key, asked, tries } of commands) {
    const entries = timeline.ofKey(key);
    const accepted = tries.filter(isAccepted);
    const open = tries.some(isUnsettled);
    if (asked.fleet !== '*' && entries.length > 1) blame(`twice: ${key} is in the log more than once`);
    if (accepted.length > 0) {
      count('commands acknowledged');
      if (entries.length === 0 && asked.type !== 'make') blame(`lost: ${key} was acknowledged`);
    } else if (open && [0, 503].includes(tries.at(-1)?.status ?? 0)) {
      blame(`unsettled: nobody knows what became of ${key}`);
    } else {
      count('commands refused');
      if (entries.length > 0 && tries.every(({ status }) => status !== 0))
        blame(`ghost: ${key} is in the log and was answered ${tries.at(-1)?.status ?? 0} last`);
    }
    if (open) count('commands of unknown outcome');
    if (asked.fleet !== '*' && asked.type !== 'make') {
      for (const { generation } of accepted) {
        if (generation !== entries[0]?.position)
          blame(
            `answer: ${key} is at ${entries[0]?.position ?? 'none'}, its answer says ${generation ?? 'none'}`,
          );
      }
    }
    const why = tookEffect(tries, entries[0], timeline);
    if (why !== undefined) blame(`none: ${key} was told that nothing happened, ${why}`);
  }
};

/**
 * A try that was refused or told `none` must not be the one that is in the log. A later try then is: it must not be
 * a repeat, and what it appended cannot have been seen before it was sent. An earlier try of unknown outcome may be
 * the one, though.
 */
function tookEffect(
  tries: readonly Try[],
  entry: LogEntry | undefined,
  timeline: Timeline,
): string | undefined {
  if (!entry) return undefined;
  for (const [nth, each] of tries.entries()) {
    if (!isNothing(each)) return undefined;
    const next = tries[nth + 1];
    if (!next) continue;
    if (next.replayed) return 'and sent again it was a repeat';
    if (timeline.provenAt(entry) < next.sentAt) return 'and it was seen before it was sent again';
  }
  return undefined;
}

/** As `src/lora/confirmation.ts` has it. */
const LATE_MS = 100;

/** For a refusal there is a moment between its sending and its answer at which the log justified it. */
export const refusalsRest: Rule = ({ commands }, timeline, { blame, count }) => {
  for (const { key, asked, tries } of commands) {
    for (const each of tries) {
      if (![404, 409, 412].includes(each.status) || asked.fleet === '*') continue;
      count(`refusals ${each.status}`);
      if (!possiblePlaces(asked.fleet, each, timeline).some((place) => justifies(place, asked, each)))
        blame(
          `refusal: ${key} was answered ${each.status} ${each.code ?? ''} and no state in that time says so`,
        );
    }
  }
};

/** A state that may have been the committed one at some time while a request was under way. */
interface Place {
  /** Its event; undefined before the fleet was there. */
  readonly entry: LogEntry | undefined;
  /** Whether that may have come in while the request was under way. */
  readonly mayHaveComeIn: boolean;
}

function possiblePlaces(fleet: string, { sentAt, receivedAt }: Try, timeline: Timeline): Place[] {
  const entries = timeline.ofFleet(fleet);
  // The last one that was surely there when the request was sent, and all that may have come in before its answer.
  const first = firstWhere(entries, (entry) => timeline.provenAt(entry) >= sentAt);
  const end = firstWhere(entries, (entry) => timeline.sentAt(entry) >= receivedAt);
  const came = entries.slice(first, Math.max(first, end)).map((entry) => ({ entry, mayHaveComeIn: true }));
  return [{ entry: entries[first - 1], mayHaveComeIn: false }, ...came];
}

function justifies(
  { entry, mayHaveComeIn }: Place,
  asked: Asked,
  { status, code, sentAt, receivedAt }: Try,
): boolean {
  if (status === 404) return code === 'unknown-fleet' && entry === undefined;
  const state = entry?.state;
  if (!entry || !state) return false;
  if (code === 'kill-switch-active') return asked.type === 'deploy' && !state.enabled;
  if (code === 'killed-meanwhile') {
    // A replica whose confirmation was late cannot tell: an enable does not lift a kill of which it had not heard.
    if (asked.type === 'enable' && !state.enabled && receivedAt - sentAt > LATE_MS) return true;
    return entry.event.type === 'LoraDisabled' && mayHaveComeIn;
  }
  if (code !== 'generation-mismatch') return false;
  if (asked.ifMatch !== null && entry.position !== asked.ifMatch) return true;
  // A rollback that names no version is refused so when the current one changed under it.
  const relative = asked.type === 'rollback' && asked.version === null;
  return relative && mayHaveComeIn && entry.event.from_version !== entry.event.to_version;
}
