import { once } from 'node:events';

import { Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import type { Response } from 'express';

import { SETTINGS, type Settings } from '../config/settings.js';
import { EventStore } from '../event-store/event-store.js';
import type { FleetSnapshot } from '../event-store/log-memory.js';
import { Problem } from '../http/problem.js';
import { LogUnavailable, UnknownFleet } from '../lora/domain/errors.js';
import { tagOf } from '../lora/domain/view.js';
import { Audience, type Listener } from './audience.js';
import { HangUps } from './hang-ups.js';
import { SpareTime } from './spare-time.js';
import { staleEvent, stateEvent } from './sse-format.js';
import { StreamClient } from './stream-client.js';

const HEARTBEAT_MS = 15_000;
/** A heartbeat says "what you have is current": only on a confirmation younger than this. */
const FRESH_MS = 2_000;
/** Without a confirmation for so long this replica must not look healthy: its engines shall go to another. */
const STALE_MS = 3_000;
const STALE_CHECK_MS = 250;

/** Tells engines of every new state: by stream, and by ending a waiting read. */
@Injectable()
export class StreamHub implements OnModuleInit {
  private readonly logger = new Logger('Stream');
  private readonly audiences = new Map<string, Audience>();
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly beginning: (() => void)[] = [];
  private readonly hangUps: HangUps;
  private ending = false;
  private stale = false;
  private count = 0;

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    private readonly store: EventStore,
    private readonly spare: SpareTime,
  ) {
    this.hangUps = new HangUps(spare);
  }

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
      this.audiences.get(snapshot.fleet)?.hear(snapshot);
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
      const { socket } = response.req;
      const ended = new Promise<void>((resolve) => socket.once('close', resolve));
      await Promise.race([isAlone(response), ended]);
      const { logId, snapshot } = await this.confirmed(fleet);
      if (socket.destroyed) return;
      const tag = tagOf(logId, snapshot.generation);
      const client = new StreamClient(response, lastEventId);
      client.tell(tag, stateEvent(logId, snapshot));
      this.hangUps.watch(socket);
      await this.listening(fleet, client, ended);
    });
  }

  /**
   * Waits until the fleet is in another state than this one, for up to so long; ends early when the reader has gone,
   * and when this replica goes stale or stops.
   */
  async change({ fleet, generation }: FleetSnapshot, milliseconds: number, gone: AbortSignal): Promise<void> {
    if (gone.aborted) return;
    const tag = tagOf(this.store.memory.logId ?? '', generation);
    await this.counted(async () => {
      let done: () => void = () => undefined;
      const ended = new Promise<void>((resolve) => (done = resolve));
      const timer = setTimeout(done, milliseconds);
      gone.addEventListener('abort', done);
      const reader: Listener = {
        tell: (news) => {
          if (news !== tag) done();
        },
        beat: () => undefined,
        end: done,
      };
      await this.listening(fleet, reader, ended);
      clearTimeout(timer);
    });
  }

  /** Lets somebody hear of a fleet until that has ended. */
  private async listening(fleet: string, listener: Listener, ended: Promise<unknown>): Promise<void> {
    const audience = this.audienceOf(fleet);
    audience.join(listener);
    await ended;
    audience.leave(listener);
    if (audience.isEmpty) this.audiences.delete(fleet);
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
    if (snapshot === null) throw new UnknownFleet(fleet, memory.names());
    return { logId: memory.logId, snapshot };
  }

  /** Thousands that a confirmation has served together begin a few at a time. */
  private turn(): Promise<void> {
    return new Promise((begin) => {
      if (this.beginning.push(begin) === 1) this.spare.do(this.admit);
    });
  }

  private readonly admit = (): boolean => {
    this.beginning.shift()?.();
    return this.beginning.length > 0;
  };

  private beat(): void {
    for (const audience of this.audiences.values()) {
      audience.each((listener) => {
        listener.beat(this.isFresh, HEARTBEAT_MS);
      });
    }
  }

  private get isFresh(): boolean {
    const last = this.store.readIndex.lastConfirmed;
    return last !== undefined && performance.now() - last.startedAt < FRESH_MS;
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
    for (const audience of this.audiences.values()) {
      audience.each((listener) => {
        listener.end(last);
      });
    }
  }

  private every(milliseconds: number, act: () => void): void {
    this.timers.push(setInterval(act, milliseconds).unref());
  }

  private audienceOf(fleet: string): Audience {
    const known = this.audiences.get(fleet);
    if (known) return known;
    const audience = new Audience(this.store.memory, this.spare);
    this.audiences.set(fleet, audience);
    return audience;
  }
}

/** A request that was sent before others were answered waits for them: a stream needs its connection alone. */
async function isAlone(response: Response): Promise<void> {
  if (response.socket === null) await once(response, 'socket');
}
