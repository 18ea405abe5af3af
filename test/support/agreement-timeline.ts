import { type History, isAccepted, type LogEntry } from './agreement-history.js';

/**
 * Between which times each event of the final log can have committed, from what clients saw. The log's order is that
 * of commit: what comes before an event that is proven had committed too, and what comes after one that was not sent
 * yet cannot have. So both bounds rise with the position.
 */
export class Timeline {
  readonly byKey = new Map<string, LogEntry[]>();
  readonly byFleet = new Map<string, LogEntry[]>();
  private readonly own: number[];
  private readonly proven: number[];
  private readonly sent: number[];

  constructor({ log, commands, reads, streams }: History) {
    for (const entry of log) {
      push(this.byKey, entry.event.idempotency_key, entry);
      push(this.byFleet, entry.event.fleet, entry);
    }
    this.own = log.map(() => Number.NEGATIVE_INFINITY);
    this.proven = log.map(() => Number.POSITIVE_INFINITY);
    for (const { key, tries } of commands) {
      const accepted = tries.find(isAccepted);
      for (const { position } of this.byKey.get(key) ?? []) {
        this.own[position - 1] = tries[0]?.sentAt ?? Number.NEGATIVE_INFINITY;
        if (accepted) this.prove(position, accepted.receivedAt);
      }
    }
    for (const { generation, receivedAt } of reads) this.prove(generation, receivedAt);
    for (const { states } of streams)
      for (const { generation, receivedAt } of states) this.prove(generation, receivedAt);
    for (let at = log.length - 2; at >= 0; at--)
      this.proven[at] = Math.min(this.proven[at] ?? 0, this.proven[at + 1] ?? 0);
    this.sent = [...this.own];
    for (let at = 1; at < log.length; at++)
      this.sent[at] = Math.max(this.sent[at] ?? 0, this.sent[at - 1] ?? 0);
  }

  private prove(position: number, at: number): void {
    const known = this.proven[position - 1];
    if (known !== undefined) this.proven[position - 1] = Math.min(known, at);
  }

  /** It had committed by then: the first answer that shows it, or something after it. */
  provenAt({ position }: LogEntry): number {
    return this.proven[position - 1] ?? Number.POSITIVE_INFINITY;
  }

  /** It cannot have committed before. */
  sentAt({ position }: LogEntry): number {
    return this.sent[position - 1] ?? Number.NEGATIVE_INFINITY;
  }

  /** When its own command was first sent. */
  ownSentAt({ position }: LogEntry): number {
    return this.own[position - 1] ?? Number.NEGATIVE_INFINITY;
  }

  ofKey(key: string): readonly LogEntry[] {
    return this.byKey.get(key) ?? [];
  }

  ofFleet(fleet: string): readonly LogEntry[] {
    return this.byFleet.get(fleet) ?? [];
  }

  /** The generation of a fleet that everybody who asks from then on must see at least; 0: none. */
  knownBefore(fleet: string, time: number): number {
    const entries = this.ofFleet(fleet);
    return entries[firstWhere(entries, (entry) => this.provenAt(entry) >= time) - 1]?.position ?? 0;
  }
}

/** The first place where the condition holds, of a list in which it holds from some place on; its length if nowhere. */
export function firstWhere<T>(list: readonly T[], condition: (each: T) => boolean): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const each = list[middle];
    if (each !== undefined && condition(each)) high = middle;
    else low = middle + 1;
  }
  return low;
}

export function push<V>(map: Map<string, V[]>, key: string, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
