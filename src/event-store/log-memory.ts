import { Logger } from '@nestjs/common';

import type { Kill } from '../lora/domain/decide.js';
import { type Histories, type LoggedEvent, noHistories, remember } from '../lora/domain/histories.js';
import type { StoredState } from '../lora/domain/view.js';
import type { LogRow, LogSince, LogSnapshot } from './log-answers.js';
import { Tails } from './tails.js';

/** A fleet as this replica knows it; replaced, never changed. */
export interface FleetSnapshot extends StoredState {
  /** The first kill of the present outage; undefined when it was before this replica came to know the fleet. */
  readonly disabledSince: { readonly recordedAt: string; readonly actor: string } | null | undefined;
  /** The last generation at which this replica has seen the current version change; 0: none. */
  readonly versionChangedAt: number;
  /** The last kill that this replica has seen happen. */
  readonly lastKill: (Kill & { readonly generation: number }) | null;
  /** Undefined until a reader has asked for them. */
  readonly histories: Histories | undefined;
}

const RECENT_MAX = 1000;

/**
 * What this replica knows of the log: the newest state of every fleet, as of a position. States are the stored
 * rows, never a fold of its own. Fleets may be ahead of the position by events that this replica has appended.
 */
export class LogMemory {
  private readonly logger = new Logger('Log');
  private fleets = new Map<string, FleetSnapshot>();
  private readonly tails = new Tails();
  /** By generation, what the fleets came to lately: the answer to a command shows its own event, not a later one. */
  private readonly recent = new Map<number, FleetSnapshot>();
  private listeners = new Set<(changed: FleetSnapshot) => void>();
  private known: { logId: string; position: number; leaf: string | null } | undefined;
  /** The last event of this replica's own, which may be beyond the position. */
  private ownLast: { readonly position: number; readonly leaf: string } | undefined;
  /** Fleets that were killed when the log went backwards, also a second time: they stay so until it is adopted. */
  private heldKills: Map<string, FleetSnapshot> | undefined;
  /** What is known is not what the log has: until a snapshot has been taken, nothing that it tells fits. */
  private outdated = false;
  private newestAt = new Date(0).toISOString();

  /** Changes when the memory starts anew: what was known before cannot be compared with what is known after. */
  epoch = 0;

  /** Undefined until the log has been read once. */
  get logId(): string | undefined {
    return this.known?.logId;
  }

  /** Whether there is nothing to tell yet: the log has not been read, or has no fleet. */
  get isEmpty(): boolean {
    return this.fleets.size === 0;
  }

  /** Every event up to here is known. */
  get position(): number {
    return this.known?.position ?? 0;
  }

  /** The last event that this replica has seen: what is asked from now on must be answered by a log that has it. */
  get seenUpTo(): number {
    return Math.max(this.position, this.ownLast?.position ?? 0);
  }

  /** Whether the log was found to lack what this replica had seen of it; only its adoption ends that. */
  get wentBackwards(): boolean {
    return this.heldKills !== undefined;
  }

  /** The fleet as the log has it. */
  get(fleet: string): FleetSnapshot | null {
    return this.fleets.get(fleet) ?? null;
  }

  /** The fleet as readers shall see it: a kill that the log has lost is still a kill, until a newer one comes. */
  seen(fleet: string): FleetSnapshot | null {
    const known = this.get(fleet);
    const held = this.heldKills?.get(fleet);
    if (held === undefined) return known;
    return known && !known.state.enabled && known.recordedAt > held.recordedAt ? known : held;
  }

  /** How far the newest event that this replica knows is ahead of this clock, in seconds; 0 when it is not. */
  get aheadSeconds(): number {
    return Math.max(0, (Date.parse(this.newestAt) - Date.now()) / 1000);
  }

  names(): string[] {
    return [...this.fleets.keys()].sort();
  }

  /** The fleets as readers shall see them: a fleet that the log has lost after its kill is one of them. */
  seenNames(): string[] {
    return [...new Set([...this.fleets.keys(), ...(this.heldKills?.keys() ?? [])])].sort();
  }

  /** Calls back with each new state of a fleet. @returns how to end it */
  onChange(listener: (changed: FleetSnapshot) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  load(snapshot: LogSnapshot): void {
    if (this.known && this.known.logId !== snapshot.log_id) this.meetAnother(this.known.logId, snapshot);
    this.outdated = false;
    this.epoch++;
    this.known = { logId: snapshot.log_id, position: snapshot.position, leaf: snapshot.leaf };
    this.recent.clear();
    this.ownLast = undefined;
    this.fleets = new Map(
      snapshot.states.map(({ fleet, generation, recorded_at, state }) => [
        fleet,
        alone({ fleet, position: generation, recorded_at, state }),
      ]),
    );
    this.newestAt = snapshot.states.map(({ recorded_at }) => recorded_at).reduce(later, this.newestAt);
    this.tails.beginAnew([...this.fleets].map(([fleet, { generation }]) => [fleet, generation]));
    for (const snapshot of this.fleets.values()) this.announce(snapshot);
  }

  /**
   * Takes what the log has told since `position`, which must be this memory's position when it was asked.
   * @param seenUpTo as it was then, where that was looked at: the log must be as far
   * @returns `reload` when this is another log, or one that went backwards, and a snapshot must be taken
   */
  absorb(asked: number, since: LogSince, seenUpTo = asked): 'absorbed' | 'reload' {
    const { known } = this;
    if (known?.logId !== since.log_id || this.outdated) return 'reload';
    // Asked before the log was read anew.
    if (asked > known.position) return 'absorbed';
    const leaf = asked === known.position ? known.leaf : since.leaf;
    const own = since.rows.find(({ position }) => position === this.ownLast?.position);
    if (since.position < seenUpTo || since.leaf !== leaf || (own && own.leaf !== this.ownLast?.leaf)) {
      this.holdKills(
        `THE LOG WENT BACKWARDS: it lacks events up to position ${this.seenUpTo} that this replica has seen.`,
      );
      return 'reload';
    }
    for (const row of since.rows) {
      if (row.position <= known.position) continue;
      if (row.position !== known.position + 1) break;
      const before = this.get(row.fleet);
      if (before === null || before.generation < row.position) this.take(row, before);
      known.position = row.position;
      known.leaf = row.leaf;
    }
    return 'absorbed';
  }

  /**
   * Takes an event that this replica has just appended, so that its fleet has none between.
   * @returns the fleet as of this event, also when the memory is further already
   */
  takeOwn(row: LogRow): FleetSnapshot {
    const before = this.get(row.fleet);
    if (before !== null && before.generation >= row.position)
      return this.recent.get(row.position) ?? alone(row);
    const snapshot = this.take(row, before);
    if (this.known && row.position === this.known.position + 1) {
      this.known.position = row.position;
      this.known.leaf = row.leaf;
    }
    if (row.position > (this.ownLast?.position ?? 0)) this.ownLast = row;
    return snapshot;
  }

  private take(row: LogRow, before: FleetSnapshot | null): FleetSnapshot {
    const { recorded_at: recordedAt, actor, reason, position } = row;
    const event: LoggedEvent = { ...row, recordedAt };
    const kill = { actor, reason, recordedAt, generation: position };
    const after: FleetSnapshot = {
      ...alone(row),
      disabledSince: row.enabled ? null : before && !before.state.enabled ? before.disabledSince : kill,
      versionChangedAt: row.from_version === row.to_version ? (before?.versionChangedAt ?? 0) : position,
      lastKill: row.type === 'LoraDisabled' ? kill : (before?.lastKill ?? null),
      histories: before === null ? noHistories : before.histories && remember(before.histories, event),
    };
    if (after.histories === undefined) this.tails.keep(event);
    this.fleets.set(row.fleet, after);
    this.recent.set(position, after);
    const [oldest] = this.recent.keys();
    if (oldest !== undefined && this.recent.size > RECENT_MAX) this.recent.delete(oldest);
    this.newestAt = later(this.newestAt, recordedAt);
    this.announce(after);
    return after;
  }

  /** A fleet's histories as of a generation, read from the log: brought up to date and kept. */
  learn(fleet: string, generation: number, histories: Histories): void {
    const snapshot = this.get(fleet);
    if (!snapshot || snapshot.histories) return;
    const upToDate = this.tails.end(fleet, generation, histories);
    if (upToDate) this.fleets.set(fleet, { ...snapshot, histories: upToDate });
  }

  /** A log of another name goes on from what this replica has seen only when an operator has said so. */
  private meetAnother(logId: string, { log_id, former_log_ids }: LogSnapshot): void {
    if (!former_log_ids.includes(logId)) {
      this.holdKills(`ANOTHER LOG: ${log_id} does not continue ${logId}, which this replica has followed.`);
    } else if (this.heldKills !== undefined) {
      this.logger.warn(`The log has been adopted as ${log_id}: it is trusted again.`);
      this.heldKills = undefined;
    }
  }

  private holdKills(why: string): void {
    const held = new Map(this.heldKills);
    for (const { fleet, state } of this.fleets.values()) {
      const killed = state.enabled ? null : this.seen(fleet);
      if (killed) held.set(fleet, killed);
    }
    this.heldKills = held;
    this.outdated = true;
    this.logger.error(
      `${why} Only disables are taken, and killed fleets stay killed, until an operator runs npm run log:adopt.`,
    );
  }

  private announce(snapshot: FleetSnapshot): void {
    for (const listener of this.listeners) listener(snapshot);
  }
}

/** Of two times of the log, which are texts of one form. */
function later(one: string, other: string): string {
  return one > other ? one : other;
}

/** The fleet as of an event, with what the event alone tells. */
function alone({
  fleet,
  position,
  recorded_at,
  state,
}: Pick<LogRow, 'fleet' | 'position' | 'recorded_at' | 'state'>): FleetSnapshot {
  return {
    fleet,
    generation: position,
    recordedAt: recorded_at,
    state,
    disabledSince: state.enabled ? null : undefined,
    versionChangedAt: 0,
    lastKill: null,
    histories: undefined,
  };
}
