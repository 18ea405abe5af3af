import { Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import type { Response } from 'express';

import { SETTINGS, type Settings } from '../config/settings.js';
import { EventStore } from '../event-store/event-store.js';
import type { FleetSnapshot } from '../event-store/log-memory.js';
import { Problem } from '../http/problem.js';
import { LogUnavailable, unknownFleet } from '../lora/domain/errors.js';
import { tagOf } from '../lora/domain/view.js';
import { staleEvent, stateEvent } from './sse-format.js';
import { StreamClient } from './stream-client.js';
import { killToStreamSeconds } from './stream-metrics.js';

const HEARTBEAT_MS = 15_000;
/** A heartbeat says "what you have is current": only on a confirmation younger than this. */
const FRESH_MS = 2_000;
/** Without a confirmation for so long this replica must not look healthy: its engines shall go to another. */
const STALE_MS = 3_000;
const STALE_CHECK_MS = 250;
/**
 * How many streams are told, and how many begin, in one turn of the loop, some 5 ms: a kill that comes among
 * thousands of them waits for no more.
 */
const TOLD_AT_ONCE = 256;
const BEGUN_AT_ONCE = 64;

/** Those who want to hear of one fleet. */
interface Audience {
  readonly clients: Set<StreamClient>;
  /** Waiting reads, with the tag of the state that they have. */
  readonly waiters: Map<() => void, string>;
  /** The newest state, as long as somebody is still to be told. */
  news: FleetSnapshot | undefined;
  /** Who is still to be told, those first who have been waiting longest. */
  readonly untold: Set<StreamClient>;
  /** The state for which `untold` was filled last. */
  telling: FleetSnapshot | undefined;
}

/** Tells engines of every new state: by stream, and by ending a waiting read. */
@Injectable()
export class StreamHub implements OnModuleInit {
  private readonly logger = new Logger('Stream');
  private readonly audiences = new Map<string, Audience>();
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly beginning: (() => void)[] = [];
  private ending = false;
  private stale = false;
  private count = 0;

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    private readonly store: EventStore,
  ) {}

  /** Streams and waiting reads open now. */
  get open(): number {
    return this.count;
  }

  /** Whether the log has not answered for too long, or cannot be trusted. */
  get isStale(): boolean {
    const last = this.store.readIndex.lastConfirmed;
    const age = performance.now() - (last?.startedAt ?? -Infinity);
    return age > STALE_MS || this.store.memory.wentBackwards;
  }

  onModuleInit(): void {
    this.store.memory.onChange((snapshot) => {
      this.changed(snapshot);
    });
    this.every(HEARTBEAT_MS, () => {
      this.beat();
    });
    this.every(STALE_CHECK_MS, () => {
      this.watch();
    });
  }

  /**
   * Serves a stream to its end: the current state now, unless the client has it, and each new one from then on.
   * @throws Problem 503 when there are too many, Refusal `unknown-fleet`, LogUnavailable
   */
  async stream(fleet: string, lastEventId: string | undefined, response: Response): Promise<void> {
    await this.counted(async () => {
      const { logId, snapshot } = await this.confirmed(fleet);
      if (response.closed) return;
      const tag = tagOf(logId, snapshot.generation);
      const client = new StreamClient(response, lastEventId);
      client.tell(tag, stateEvent(logId, snapshot));
      const { clients, untold } = this.audienceOf(fleet);
      clients.add(client);
      await client.ended;
      clients.delete(client);
      untold.delete(client);
    });
    this.tidy(fleet);
  }

  /**
   * Waits until the fleet is in another state than this one, for up to so long; ends early when the reader has gone,
   * and when this replica goes stale or stops.
   */
  async change({ fleet, generation }: FleetSnapshot, milliseconds: number, gone: AbortSignal): Promise<void> {
    if (gone.aborted) return;
    const tag = tagOf(this.store.memory.logId ?? '', generation);
    await this.counted(async () => {
      const { waiters } = this.audienceOf(fleet);
      let done: () => void = () => undefined;
      const ended = new Promise<void>((resolve) => (done = resolve));
      const timer = setTimeout(done, milliseconds);
      gone.addEventListener('abort', done);
      waiters.set(done, tag);
      await ended;
      waiters.delete(done);
      clearTimeout(timer);
    });
    this.tidy(fleet);
  }

  /** Ends every stream and waiting read, so that clients go to another replica. */
  end(): void {
    this.ending = true;
    for (const timer of this.timers) clearInterval(timer);
    this.endAll(undefined);
  }

  /** A place is taken before anything is waited for: thousands may connect at once. */
  private async counted(serve: () => Promise<void>): Promise<void> {
    if (this.ending) throw new LogUnavailable('This replica is stopping: use another one.');
    if (this.count >= this.settings.streamsMax) {
      const detail = `This replica serves ${this.settings.streamsMax} streams and waiting reads already: use another one.`;
      throw new Problem('too-many-streams', detail, {}, { 'Retry-After': '1' });
    }
    this.count++;
    try {
      await serve();
    } finally {
      this.count--;
    }
  }

  private async confirmed(fleet: string): Promise<{ logId: string; snapshot: FleetSnapshot }> {
    await this.store.readIndex.confirm();
    await this.turn();
    const { memory } = this.store;
    // What became of this replica while it waited for its turn counts too: nobody would end its stream any more.
    if (memory.logId === undefined || memory.isEmpty || this.isStale || this.ending) {
      throw new LogUnavailable('This replica cannot follow the log now: use another one.');
    }
    const snapshot = memory.get(fleet);
    if (snapshot === null) throw unknownFleet(fleet, memory.names());
    return { logId: memory.logId, snapshot };
  }

  /** Thousands that a confirmation has served together begin a few at a time. */
  private turn(): Promise<void> {
    return new Promise((begin) => {
      if (this.beginning.push(begin) === 1) this.admitSoon();
    });
  }

  private admitSoon(): void {
    setImmediate(() => {
      for (const begin of this.beginning.splice(0, BEGUN_AT_ONCE)) begin();
      if (this.beginning.length > 0) this.admitSoon();
    });
  }

  private changed(snapshot: FleetSnapshot): void {
    const audience = this.audiences.get(snapshot.fleet);
    if (!audience) return;
    // One turn of the loop may bring many states: only the newest is written.
    if (audience.news === undefined) this.tellSoon(audience);
    audience.news = snapshot;
  }

  private tellSoon(audience: Audience): void {
    setImmediate(() => {
      this.tell(audience);
    });
  }

  /** Tells some, and the rest in the next turns; what comes meanwhile is told instead, to those too who were told. */
  private tell(audience: Audience): void {
    const { news, clients, waiters, untold } = audience;
    const { memory } = this.store;
    if (news === undefined || memory.logId === undefined || memory.wentBackwards) {
      audience.news = audience.telling = undefined;
      untold.clear();
      // Where the log went backwards a tag may name two states: nobody waits for another one, and no stream goes on.
      if (memory.wentBackwards) for (const done of waiters.keys()) done();
      return;
    }
    const tag = tagOf(memory.logId, news.generation);
    if (audience.telling !== news) {
      audience.telling = news;
      for (const client of clients) untold.add(client);
      for (const [done, has] of waiters) if (has !== tag) done();
    }
    const event = stateEvent(memory.logId, news);
    let left = TOLD_AT_ONCE;
    for (const client of untold) {
      if (left-- === 0) break;
      untold.delete(client);
      client.tell(tag, event);
    }
    if (untold.size > 0) {
      this.tellSoon(audience);
      return;
    }
    audience.news = audience.telling = undefined;
    // A kill that this replica has seen happen, not one that it has only read of.
    if (news.lastKill?.generation === news.generation && clients.size > 0) {
      killToStreamSeconds.observe(Math.max(0, Date.now() - Date.parse(news.recordedAt)) / 1000);
    }
  }

  private beat(): void {
    const last = this.store.readIndex.lastConfirmed;
    const fresh = last !== undefined && performance.now() - last.startedAt < FRESH_MS;
    for (const { clients } of this.audiences.values()) {
      for (const client of clients) client.beat(fresh, HEARTBEAT_MS);
    }
  }

  private watch(): void {
    const stale = this.isStale;
    if (stale === this.stale) return;
    this.stale = stale;
    if (!stale || this.count === 0) return;
    const why = this.store.memory.wentBackwards
      ? 'went backwards'
      : `has not answered for ${STALE_MS / 1000} s`;
    this.logger.warn(`The log ${why}: ending ${this.count} streams and waiting reads.`);
    this.endAll(staleEvent(this.store.readIndex.lastConfirmed?.time));
  }

  private endAll(last: Buffer | undefined): void {
    for (const { clients, waiters } of this.audiences.values()) {
      for (const client of clients) client.end(last);
      for (const done of waiters.keys()) done();
    }
  }

  private every(milliseconds: number, act: () => void): void {
    this.timers.push(setInterval(act, milliseconds).unref());
  }

  private audienceOf(fleet: string): Audience {
    const known = this.audiences.get(fleet);
    if (known) return known;
    const audience: Audience = {
      clients: new Set(),
      waiters: new Map(),
      news: undefined,
      untold: new Set(),
      telling: undefined,
    };
    this.audiences.set(fleet, audience);
    return audience;
  }

  private tidy(fleet: string): void {
    const audience = this.audiences.get(fleet);
    if (audience?.clients.size === 0 && audience.waiters.size === 0) this.audiences.delete(fleet);
  }
}
