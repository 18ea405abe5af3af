/** How many refusals of one caller go on record at once in a while, and how many of all callers that are not known. */
const CALLER_MAX = 60;
const STRANGERS_MAX = 240;

/** A refusal for the record, and how many of its caller were left out before it. */
export interface Kept<T> {
  readonly refusal: T;
  readonly leftOut: number;
}

interface Tally<T> {
  kept: number;
  leftOut: number;
  last: T | undefined;
}

const STRANGERS = '';

/**
 * What goes on record of the refusals of a while, so that nobody fills the disk: so many of each caller at once, and
 * of what is left out the last one when the while is over, with the count of the others. Pure.
 */
export class RefusalBounds<T> {
  private readonly tallies = new Map<string, Tally<T>>();
  private strangers = 0;

  /**
   * @param caller who was refused; a stranger by the address
   * @param hasRoom whether anything can be kept now
   * @returns whether it goes on record at once
   */
  admit(caller: string, isStranger: boolean, refusal: T, hasRoom: boolean): boolean {
    const crowded = isStranger && (!hasRoom || this.strangers >= STRANGERS_MAX);
    // Strangers that are not kept are one: an attacker has more addresses than there is memory.
    const tally = this.tallyOf(crowded && !this.tallies.has(caller) ? STRANGERS : caller);
    if (hasRoom && !crowded && tally.kept < CALLER_MAX) {
      tally.kept++;
      if (isStranger) this.strangers++;
      return true;
    }
    tally.leftOut++;
    tally.last = refusal;
    return false;
  }

  /** Ends the while. @returns what was left out, by caller */
  end(): Kept<T>[] {
    const kept = [...this.tallies.values()].flatMap(({ last, leftOut }) =>
      last === undefined ? [] : [{ refusal: last, leftOut: leftOut - 1 }],
    );
    this.tallies.clear();
    this.strangers = 0;
    return kept;
  }

  private tallyOf(caller: string): Tally<T> {
    let tally = this.tallies.get(caller);
    if (tally === undefined) this.tallies.set(caller, (tally = { kept: 0, leftOut: 0, last: undefined }));
    return tally;
  }
}
