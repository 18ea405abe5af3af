import { activeVersion } from '../../src/lora/domain/state.js';
import type { Rule } from './agreement-checker.js';
import type { LogEntry, ReadRecord, Shown } from './agreement-history.js';
import { push } from './agreement-timeline.js';

/** Why the log does not have this state at that generation; undefined when it has. */
export function isUntrue(
  log: readonly LogEntry[],
  fleet: string,
  generation: number,
  shown: Shown | undefined,
): string | undefined {
  const entry = log[generation - 1];
  if (entry?.event.fleet !== fleet || !entry.state) return `fleet ${fleet} has no generation ${generation}`;
  if (!shown) return undefined;
  const { enabled } = entry.state;
  return enabled === shown.enabled && activeVersion(entry.state) === shown.version
    ? undefined
    : `fleet ${fleet} at ${generation} was shown as something else`;
}

/** What a read showed is what the log had at that generation. */
export const readsAreTrue: Rule = ({ log, reads }, _, { blame }) => {
  for (const { fleet, generation, shown } of reads) {
    const why = isUntrue(log, fleet, generation, shown);
    if (why !== undefined) blame(`read: ${why}`);
  }
};

/** A linearizable read is at least as new as everything that was proven committed before it began. */
export const readsAreNewEnough: Rule = ({ reads }, timeline, { blame, count }) => {
  for (const { kind, replica, fleet, generation, sentAt } of reads) {
    if (kind !== 'linearizable') continue;
    count('linearizable reads');
    const known = timeline.knownBefore(fleet, sentAt);
    if (generation < known)
      blame(`stale: ${replica} showed fleet ${fleet} at ${generation}, ${known} was known before`);
  }
};

/** No process ever shows a fleet older than it had shown it in an answer that came before the read was sent. */
export const readsNeverGoBack: Rule = ({ reads }, _, { blame, count }) => {
  const shown = new Map<string, ReadRecord[]>();
  for (const read of reads) push(shown, `${read.replica} ${read.fleet}`, read);
  for (const ofOne of shown.values()) {
    const bySent = [...ofOne].sort((one, other) => one.sentAt - other.sentAt);
    const byReceived = [...ofOne].sort((one, other) => one.receivedAt - other.receivedAt);
    let nth = 0;
    let newest = 0;
    for (const { replica, fleet, sentAt, generation } of bySent) {
      count('reads checked for going back');
      for (let past = byReceived[nth]; past && past.receivedAt < sentAt; past = byReceived[++nth])
        newest = Math.max(newest, past.generation);
      if (generation < newest)
        blame(`back: ${replica} showed fleet ${fleet} at ${newest}, then at ${generation}`);
    }
  }
};
