/** So much longer than it works it rests: a quarter of one processor of the database at most. */
const REST = 3;

/** How long a pass rests that has worked for so long, where nobody waits for it. */
export const restAfter = (worked: number): number => worked * REST;

/**
 * When the log is checked: again at each interval, and for those who ask. However often they do, it costs no more than
 * a quarter of a processor: a pass that was hurried has not rested on its way, and rests before the next one begins.
 * Pure; times are milliseconds of one clock.
 */
export class PassPace {
  private began = -Infinity;
  private rested = 0;
  private lasted = 0;
  private isUnderWay = false;

  constructor(private readonly interval: number) {}

  begin(now: number): void {
    this.began = now;
    this.rested = 0;
    this.isUnderWay = true;
  }

  /** The pass has rested for so long. */
  noteRest(length: number): void {
    this.rested += length;
  }

  /** The pass is over. */
  end(now: number): void {
    this.isUnderWay = false;
    const worked = now - this.began - this.rested;
    this.lasted = Math.max(now - this.began, worked + restAfter(worked));
  }

  /** From when on a pass may begin that somebody waits for. */
  get soonest(): number {
    return this.began + this.lasted;
  }

  /** When one begins that nobody waits for. */
  get due(): number {
    return this.began + Math.max(this.lasted, this.interval);
  }

  /** Whether a changed past shows later than after an interval: the pass of now, or the one before, takes longer. */
  isSlow(now: number): boolean {
    return Math.max(this.lasted, this.isUnderWay ? now - this.began : 0) > this.interval;
  }
}
