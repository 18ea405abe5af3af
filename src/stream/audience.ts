import type { FleetSnapshot, LogMemory } from '../event-store/log-memory.js';
import { tagOf } from '../lora/domain/view.js';
import { stateEvent } from './sse-format.js';
import type { SpareTime } from './spare-time.js';
import { killToStreamSeconds } from './stream-metrics.js';

/** How many are served in one part of the spare time. */
const AT_ONCE = 8;

/** Who wants to hear of a fleet: a stream, or a waiting read. */
export interface Listener {
  tell(tag: string, event: Buffer): void;
  beat(fresh: boolean, patienceMs: number): void;
  /** @param last a last word, for who can hear it */
  end(last: Buffer | undefined): void;
}

/** A state, made ready for all. */
interface News {
  readonly snapshot: FleetSnapshot;
  readonly tag: string;
  readonly event: Buffer;
}

/** Those who want to hear of one fleet. */
export class Audience {
  private readonly listeners = new Set<Listener>();
  /** The newest state that has not been told to all. */
  private newest: FleetSnapshot | undefined;
  /** What is being told, and to whom still: those first who have been waiting longest. */
  private news: News | undefined;
  private readonly untold = new Set<Listener>();

  constructor(
    private readonly memory: LogMemory,
    private readonly spare: SpareTime,
  ) {}

  get isEmpty(): boolean {
    return this.listeners.size === 0;
  }

  join(listener: Listener): void {
    this.listeners.add(listener);
  }

  leave(listener: Listener): void {
    this.listeners.delete(listener);
    this.untold.delete(listener);
  }

  /** While some are being told many states may come: only the newest is told. */
  hear(snapshot: FleetSnapshot): void {
    const idle = this.newest === undefined;
    this.newest = snapshot;
    if (idle) this.spare.do(this.tellSome);
  }

  /** Does something with each of them, in time. */
  each(act: (listener: Listener) => void): void {
    const rest = [...this.listeners].values();
    this.spare.do(() => {
      for (let left = AT_ONCE; left > 0; left--) {
        const { done, value } = rest.next();
        if (done) return false;
        act(value);
      }
      return true;
    });
  }

  /** Tells some; what comes before all are told is told instead, to those too who were told. */
  private readonly tellSome = (): boolean => {
    const { newest, memory, untold } = this;
    // Where the log went backwards a tag may name two states: the hub ends whoever listens.
    if (newest === undefined || memory.logId === undefined || memory.wentBackwards) return this.settle();
    if (this.news?.snapshot !== newest) {
      const { logId } = memory;
      this.news = {
        snapshot: newest,
        tag: tagOf(logId, newest.generation),
        event: stateEvent(logId, newest),
      };
      for (const listener of this.listeners) untold.add(listener);
    }
    const { tag, event } = this.news;
    let left = AT_ONCE;
    for (const listener of untold) {
      if (left-- === 0) return true;
      untold.delete(listener);
      listener.tell(tag, event);
    }
    // A kill that this replica has seen happen, not one that it has only read of.
    if (newest.lastKill?.generation === newest.generation && !this.isEmpty) {
      killToStreamSeconds.observe(Math.max(0, Date.now() - Date.parse(newest.recordedAt)) / 1000);
    }
    return this.settle();
  };

  private settle(): false {
    this.newest = this.news = undefined;
    this.untold.clear();
    return false;
  }
}
