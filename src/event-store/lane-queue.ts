import type { Entry } from './batch.js';
import type { Outcome } from './submission.js';

export const BATCH_MAX = 64;
/** Places in a full batch that kills leave to others, so that a storm of kills starves nobody. */
const OTHERS_MIN = 8;

export interface Pending extends Entry {
  readonly arrival: number;
  /** How often the log was found further than this replica's memory of it. */
  conflicts: number;
  /** After a failed batch: sent on its own, to find the one at fault. */
  alone: boolean;
  /** Whether a try may have reached the log without this replica having learnt how it ended. */
  uncertain: boolean;
  settled: boolean;
  /** Why the last try of it failed, for operators. */
  cause?: unknown;
  settle(result: Outcome | Error): void;
}

/** The commands that wait for the lane, in the order of their arrival. */
export class LaneQueue {
  private waiting: Pending[] = [];
  /** Whether kills have gone before what goes alone: in turns, so that neither waits for all of the other. */
  private killsHadTheirTurn = false;

  get length(): number {
    return this.waiting.length;
  }

  /** Puts those to their places that have no answer and do not wait yet, whether they are new or have been tried. */
  add(some: readonly Pending[]): void {
    const open = some.filter((pending) => !pending.settled && !this.waiting.includes(pending));
    this.waiting = [...this.waiting, ...open].sort((one, other) => one.arrival - other.arrival);
  }

  remove(pending: Pending): void {
    this.waiting = this.waiting.filter((other) => other !== pending);
  }

  /**
   * The kills that go out beside a batch that hangs.
   * @param heldUp those of that batch; they go out again
   */
  takeKills(heldUp: readonly Pending[]): Pending[] {
    if (heldUp.some(({ alone }) => alone)) return [...heldUp];
    const places = Math.max(0, BATCH_MAX - heldUp.length);
    const together = [...heldUp, ...this.take((pending) => isKill(pending) && !pending.alone, places)];
    return together.length > 0 ? together : this.take(isKill, 1);
  }

  /** The next batch: kills first when not all have a place, and before what goes alone. */
  takeBatch(): Pending[] {
    const alone = this.waiting.filter((pending) => pending.alone);
    const lonely = alone.find(isKill) ?? alone[0];
    if (!lonely) return this.fill([]);
    const kills = this.killsHadTheirTurn ? [] : this.takeKills([]);
    this.killsHadTheirTurn = kills.length > 0;
    return kills.length > 0 ? kills : this.take((pending) => pending === lonely, 1);
  }

  /** A batch with as many more as have a place in it. */
  fill(batch: readonly Pending[]): Pending[] {
    const together = (pending: Pending): boolean => !pending.alone;
    const othersWaiting = this.waiting.filter((pending) => !isKill(pending)).length;
    const othersIn = batch.filter((pending) => !isKill(pending)).length;
    const kept = Math.min(othersWaiting, Math.max(0, OTHERS_MIN - othersIn));
    const places = BATCH_MAX - batch.length;
    const kills = this.take((pending) => isKill(pending) && together(pending), Math.max(0, places - kept));
    const rest = this.take((pending) => !isKill(pending) && together(pending), places - kills.length);
    // In the order of arrival, but what a kill can overtake comes after the kills: it is not given effect in the very
    // commit of a kill. The making of a fleet keeps its place, so that a kill of all fleets meets it.
    return [...batch, ...kills, ...rest].sort(
      (one, other) => overtakable(one) - overtakable(other) || one.arrival - other.arrival,
    );
  }

  private take(wanted: (pending: Pending) => boolean, most: number): Pending[] {
    const taken = this.waiting.filter(wanted).slice(0, most);
    this.waiting = this.waiting.filter((pending) => !taken.includes(pending));
    return taken;
  }
}

const isKill = ({ submission }: Pending): boolean => submission.isKill;
const overtakable = ({ submission }: Pending): number => (submission.confirmed === null ? 0 : 1);
