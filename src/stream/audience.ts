import type { FleetSnapshot, LogMemory } from '../event-store/log-memory.js';
import { tagOf } from '../lora/domain/view.js';
import { stateEvent } from './sse-format.js';
import type { StreamClient } from './stream-client.js';
import { killToStreamSeconds } from './stream-metrics.js';

/** How many are told in one turn of the loop, some 5 ms: a kill that comes meanwhile waits for no more. */
const TOLD_AT_ONCE = 256;

/** Those who want to hear of one fleet. */
export class Audience {
  readonly clients = new Set<StreamClient>();
  /** Waiting reads, with the tag of the state that they have. */
  readonly waiters = new Map<() => void, string>();
  /** The newest state, as long as somebody is still to be told. */
  private news: FleetSnapshot | undefined;
  /** Who is still to be told, those first who have been waiting longest. */
  private readonly untold = new Set<StreamClient>();
  /** The state for which `untold` was filled last. */
  private telling: FleetSnapshot | undefined;

  constructor(private readonly memory: LogMemory) {}

  get isEmpty(): boolean {
    return this.clients.size === 0 && this.waiters.size === 0;
  }

  /** One turn of the loop may bring many states: only the newest is told. */
  hear(snapshot: FleetSnapshot): void {
    if (this.news === undefined) this.tellSoon();
    this.news = snapshot;
  }

  leave(client: StreamClient): void {
    this.clients.delete(client);
    this.untold.delete(client);
  }

  /** Ends every stream, with a last word where there is one, and every waiting read. */
  end(last: Buffer | undefined): void {
    for (const client of this.clients) client.end(last);
    for (const done of this.waiters.keys()) done();
  }

  private tellSoon(): void {
    setImmediate(() => {
      this.tell();
    });
  }

  /** Tells some, and the rest in the next turns; what comes meanwhile is told instead, to those too who were told. */
  private tell(): void {
    const { news, memory, untold } = this;
    if (news === undefined || memory.logId === undefined || memory.wentBackwards) {
      this.news = this.telling = undefined;
      untold.clear();
      // Where the log went backwards a tag may name two states: nobody waits for another one, and no stream goes on.
      if (memory.wentBackwards) for (const done of this.waiters.keys()) done();
      return;
    }
    const tag = tagOf(memory.logId, news.generation);
    if (this.telling !== news) {
      this.telling = news;
      for (const client of this.clients) untold.add(client);
      for (const [done, has] of this.waiters) if (has !== tag) done();
    }
    const event = stateEvent(memory.logId, news);
    let left = TOLD_AT_ONCE;
    for (const client of untold) {
      if (left-- === 0) break;
      untold.delete(client);
      client.tell(tag, event);
    }
    if (untold.size > 0) {
      this.tellSoon();
      return;
    }
    this.news = this.telling = undefined;
    // A kill that this replica has seen happen, not one that it has only read of.
    if (news.lastKill?.generation === news.generation && this.clients.size > 0) {
      killToStreamSeconds.observe(Math.max(0, Date.now() - Date.parse(news.recordedAt)) / 1000);
    }
  }
}
