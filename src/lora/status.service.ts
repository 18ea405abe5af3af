import { Injectable } from '@nestjs/common';

import { HistoryReader } from '../event-store/history-reader.js';
import { EventReader } from '../event-store/event-reader.js';
import { EventStore } from '../event-store/event-store.js';
import type { FleetAt } from '../event-store/history-rows.js';
import type { FleetSnapshot } from '../event-store/log-memory.js';
import { Answer, jsonHeaders } from '../http/answer.js';
import { type Identity, mayReach, scopeOf } from '../http/identity.js';
import { pageOf } from '../http/page.js';
import { LogUnavailable, Refusal, UnknownFleet } from './domain/errors.js';
import { tagMatches, tagOf, viewOf } from './domain/view.js';
import type { FleetPageBody } from './lora.dto.js';
import { stateText } from './state-text.js';
import { StreamHub } from '../stream/stream-hub.js';

/** `strong` answers 503 where the default answers with what was last known; `eventual` answers from memory. */
export type Consistency = 'default' | 'strong' | 'eventual';

/** A reader that would rather wait than hear that nothing is new. */
export interface Wait {
  readonly seconds: number;
  /** Ends the wait when the reader has gone. */
  readonly signal: AbortSignal;
}

/** So many fleets are asked for at a time, if a page is not longer: many may have had no state yet. */
const FLEETS_ASKED_MIN = 100;

/** What readers see of the fleets. */
@Injectable()
export class StatusService {
  private readonly answers = new WeakMap<FleetSnapshot, Answer<string>>();

  constructor(
    private readonly store: EventStore,
    private readonly reader: EventReader,
    private readonly hub: StreamHub,
    private readonly past: HistoryReader,
  ) {}

  /**
   * The state of a fleet. By default it reflects every command that was acknowledged anywhere before the read began;
   * where the log cannot be asked, it is marked stale. 304 without a body when the reader's tag is the current one;
   * not while the log is behind what this replica has seen, because there a tag may name two states.
   * @param wait how long to wait for another state than that of the tag before saying 304
   */
  async status(
    fleet: string,
    consistency: Consistency,
    ifNoneMatch: string | undefined,
    wait?: Wait,
  ): Promise<Answer<string | undefined>> {
    const stale = consistency === 'eventual' ? false : await this.confirm(consistency);
    if (this.store.memory.seen(fleet) === null) await this.lookAgain(fleet, consistency, stale);
    const { snapshot, logId } = this.seen(fleet);
    const ready = this.answers.get(snapshot);
    if (ready && !stale && ifNoneMatch === undefined) return ready;
    const tag = tagOf(logId, snapshot.generation);
    const headers = { ...jsonHeaders, ETag: `"${tag}"`, 'Cache-Control': 'no-cache' };
    if (stale) return this.staleAnswer(logId, snapshot, headers);
    // A 304 says "what you have is current": only a confirmation by a log that is trusted can tell.
    const canTell = consistency !== 'eventual' && !this.store.memory.wentBackwards;
    if (canTell && ifNoneMatch !== undefined && tagMatches(ifNoneMatch, tag, false)) {
      if (wait !== undefined) {
        await this.hub.change(snapshot, wait.seconds * 1000, wait.signal);
        // What is said now rests on a confirmation of its own.
        const answer = await this.status(fleet, consistency, ifNoneMatch);
        return answer.with({ 'Preference-Applied': `wait=${wait.seconds}` });
      }
      return new Answer(undefined, headers, 304);
    }
    try {
      return ready ?? (await this.serialise(logId, snapshot, headers));
    } catch (error) {
      if (consistency === 'strong' || !(error instanceof LogUnavailable)) throw error;
      return this.staleAnswer(logId, snapshot, headers);
    }
  }

  /** What is known, with the histories where memory has them. */
  private staleAnswer(
    logId: string,
    snapshot: FleetSnapshot,
    headers: Readonly<Record<string, string>>,
  ): Answer<string> {
    const asOf = this.store.readIndex.lastConfirmed?.time.toISOString() ?? null;
    const text = stateText(logId, snapshot, snapshot.histories, { stale: true, as_of: asOf });
    return new Answer(text, { ...headers, Warning: '110 - "Response is Stale"' });
  }

  /**
   * The state of a fleet as of a time, from the log.
   * @throws Refusal `no-state-yet` before its first event
   */
  async statusAt(fleet: string, time: string): Promise<Answer<string>> {
    const { logId, final, stored } = await this.reader.stateAt(fleet, time);
    if (stored === null) {
      await this.confirmed(fleet);
      throw new Refusal('no-state-yet', `Fleet ${fleet} had no state yet at ${time}.`, null);
    }
    const histories = await this.reader.histories(fleet, stored.generation);
    const headers = { ...jsonHeaders, ETag: `"${tagOf(logId, stored.generation)}"` };
    return new Answer(stateText(logId, stored, histories, { final }), headers);
  }

  /** The fleet as confirmed now. @throws Refusal `unknown-fleet`, or LogUnavailable */
  async confirmed(fleet: string): Promise<FleetSnapshot> {
    await this.store.readIndex.confirm();
    if (this.store.memory.isEmpty) throw new LogUnavailable('The log has not been read yet.');
    const snapshot = this.store.memory.get(fleet);
    if (snapshot === null) throw new UnknownFleet(fleet, this.store.memory.names());
    return snapshot;
  }

  async page(identity: Identity, after: string, limit: number): Promise<FleetPageBody> {
    await this.store.readIndex.confirm();
    const { memory } = this.store;
    const names = memory.seenNames().filter((name) => name > after && mayReach(identity, name));
    const { page, next_cursor } = pageOf(names, limit, (name) => name);
    const fleets = page.map((name) => {
      const { snapshot, logId } = this.seen(name);
      return viewOf(logId, snapshot);
    });
    return { fleets, ...scopeOf(identity), next_cursor };
  }

  /** The fleets as of a time, those left out that had no state yet. */
  async pageAt(identity: Identity, time: string, after: string, limit: number): Promise<FleetPageBody> {
    // Asked first: an event that comes in between makes the answer no less true, and no fleet is missing of what is final.
    const { log_id, final } = await this.past.end(time);
    await this.store.readIndex.confirm();
    const names = this.store.memory.names().filter((name) => name > after && mayReach(identity, name));
    const found: FleetAt[] = [];
    // One after the other, so that a page costs what it shows, and not what it leaves to the next.
    const share = Math.max(limit + 1, FLEETS_ASKED_MIN);
    for (let from = 0; from < names.length && found.length <= limit; from += share)
      found.push(...(await this.past.fleetsAt(names.slice(from, from + share), time)));
    const { page, next_cursor } = pageOf(found, limit, ({ fleet }) => fleet);
    const fleets = page.map(({ recorded_at, ...stored }) =>
      viewOf(log_id, { ...stored, recordedAt: recorded_at }),
    );
    return { final, fleets, ...scopeOf(identity), next_cursor };
  }

  /** @returns whether the log could not be asked and the answer must say so */
  private async confirm(consistency: 'default' | 'strong'): Promise<boolean> {
    try {
      await this.store.readIndex.confirm();
      return false;
    } catch (error) {
      if (consistency === 'strong' || !(error instanceof LogUnavailable)) throw error;
      return true;
    }
  }

  /** That there is no such fleet is said only where the log has confirmed it. */
  private async lookAgain(fleet: string, consistency: Consistency, stale: boolean): Promise<void> {
    if (stale) throw new LogUnavailable(`The log cannot be asked whether there is a fleet ${fleet}.`);
    if (consistency === 'eventual') await this.store.readIndex.confirm();
  }

  private seen(fleet: string): { snapshot: FleetSnapshot; logId: string } {
    const { memory } = this.store;
    if (memory.logId === undefined || memory.isEmpty)
      throw new LogUnavailable('The log has not been read yet.');
    const snapshot = memory.seen(fleet);
    if (snapshot === null) throw new UnknownFleet(fleet, memory.names());
    return { snapshot, logId: memory.logId };
  }

  /** Once for each generation. */
  private async serialise(
    logId: string,
    snapshot: FleetSnapshot,
    headers: Readonly<Record<string, string>>,
  ): Promise<Answer<string>> {
    const histories = await this.store.historiesOf(snapshot);
    const answer = new Answer(stateText(logId, snapshot, histories), headers);
    this.answers.set(snapshot, answer);
    return answer;
  }
}
