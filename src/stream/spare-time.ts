import { Injectable } from '@nestjs/common';

/** Does a little, well under a millisecond of it. @returns whether there is more to do */
export type Chore = () => boolean;

/** How long chores may take in one turn of the loop. */
const BUDGET_MS = 2;
/** How many parts of chores a turn has room for; the budget ends it before. */
const PARTS = 64;
/** Chores that have waited for so long get their budget, whatever else there is to do… */
const PATIENCE_MS = 16;
/** …and sooner when connections have been pouring in for so long: a queue as long as the kernel keeps is over then. */
const FLOOD_MS = 500;
const PATIENCE_IN_FLOOD_MS = 4;

/**
 * The time that the loop has to spare. What thousands of streams need is done in small parts, in turn, a few
 * milliseconds in each turn of the loop: a kill that comes among them waits for no more. After a turn that brought a
 * new connection none of it is done: Node accepts one connection a turn, and a kill may be behind the others.
 */
@Injectable()
export class SpareTime {
  private readonly chores: Chore[] = [];
  private planned = false;
  private arrivals = false;
  private began = 0;
  /** When a turn was last seen that brought nobody. */
  private calmAt = 0;
  private over = false;

  get isIdle(): boolean {
    return this.chores.length === 0;
  }

  do(chore: Chore): void {
    this.chores.push(chore);
    if (!this.planned) this.plan();
  }

  /** Somebody new has come. */
  noteArrival(): void {
    if (!this.planned) this.calmAt = performance.now();
    this.arrivals = true;
  }

  private readonly plan = (): void => {
    this.planned = !this.isIdle;
    if (!this.planned) return;
    const now = performance.now();
    if (!this.arrivals) this.calmAt = now;
    const patience = now - this.calmAt > FLOOD_MS ? PATIENCE_IN_FLOOD_MS : PATIENCE_MS;
    const busy = this.arrivals && now - this.began < patience;
    this.arrivals = false;
    if (busy) {
      setImmediate(this.plan);
      return;
    }
    // An immediate for each part: Node does all that a part has set off, promises too, before the next one.
    setImmediate(this.begin);
    for (let nth = 0; nth < PARTS; nth++) setImmediate(this.part);
    setImmediate(this.plan);
  };

  private readonly begin = (): void => {
    this.began = performance.now();
    this.over = false;
  };

  private readonly part = (): void => {
    if (this.over) return;
    const chore = this.chores.shift();
    if (chore?.()) this.chores.push(chore);
    this.over = this.isIdle || performance.now() - this.began > BUDGET_MS;
  };
}
