import type { Evidence } from './evidence.js';
import { type Beside, type Expectation, expectationsOf } from './expectations.js';
import {
  type EndLine,
  type EventLine,
  jsonObject,
  type LogLine,
  logLineOf,
  Unreadable,
} from './export-lines.js';
import { EMPTY_ROOT, Frontier } from './merkle.js';
import { Altered, Chain } from './verify-event.js';

/** `unknown`: nothing is wrong with what could be checked, and that was not enough. */
export type Outcome = 'unaltered' | 'altered' | 'unknown';

export interface Verdict {
  readonly outcome: Outcome;
  /** Null where the file is not even an export. */
  readonly log_id: string | null;
  /** That were read; where something is wrong, those before it. */
  readonly events: number;
  /** So many events, from the first, are those that were signed. */
  readonly covered: number;
  /** The first one at which the log is not what it was. */
  readonly position: number | null;
  /** What is wrong, or why nothing can be said; a sentence each. */
  readonly why: readonly string[];
}

/** Takes the lines of one export, in order. Stops at the first thing that is wrong by throwing it. */
export class LogVerifier {
  private lines = 0;
  private events = 0;
  private covered = 0;
  private log: LogLine | undefined;
  private chain = new Chain(false);
  private isPart = false;
  private isEnded = false;
  private readonly frontier = new Frontier();
  /** Not met yet. */
  private expected: readonly Expectation[] = [];
  private met = 0;
  private readonly doubts: string[];

  constructor(
    private readonly evidence: Evidence,
    private readonly beside: Beside | undefined,
  ) {
    this.doubts = [...evidence.useless];
  }

  take(text: string): void {
    this.lines += 1;
    const line = jsonObject(text, `Line ${this.lines}`);
    if (this.isEnded) throw new Unreadable(`Line ${this.lines} stands after the end.`);
    if (this.log === undefined) this.begin(line);
    else if (line.record === 'event') this.takeEvent(line as unknown as EventLine);
    else if (line.record === 'end') this.takeEnd(line as unknown as EndLine);
  }

  end(): Verdict {
    const doubts = [...this.doubts];
    if (this.log === undefined) throw new Unreadable('The file is empty.');
    if (!this.isEnded) doubts.push('It has no end line: it was cut.');
    else if (this.isPart)
      doubts.push('It is a part of the log: only a whole export can be held against a root.');
    else this.meetTheRest(this.log);
    for (const [fleet, position] of this.chain.underivable)
      doubts.push(
        `The states of fleet ${fleet} from position ${position} on are of a newer version than this.`,
      );
    if (this.covered === 0 && !this.isPart) doubts.push('No checkpoint vouches for any of it.');
    return this.verdict(doubts.length === 0 ? 'unaltered' : 'unknown', doubts);
  }

  verdict(outcome: Outcome, why: readonly string[], position: number | null = null): Verdict {
    const { events, covered } = this;
    return { outcome, log_id: this.log?.log_id ?? null, events, covered, position, why };
  }

  private begin(line: Readonly<Record<string, unknown>>): void {
    const log = logLineOf(line);
    this.log = log;
    this.isPart = [log.since, log.until, log.fleet, log.fleets].some((each) => each != null);
    this.chain = new Chain(this.isPart);
    const expected = expectationsOf(this.evidence, log, this.doubts, this.beside);
    this.expected = this.isPart ? expected.filter(({ leaf }) => leaf !== undefined) : expected;
    this.meet(0, EMPTY_ROOT);
  }

  private takeEvent(line: EventLine): void {
    const leaf = this.chain.take(line);
    this.events += 1;
    this.beside?.seen?.(line);
    this.frontier.append(leaf);
    this.meet(this.chain.position, leaf);
  }

  private takeEnd({ events }: EndLine): void {
    this.isEnded = true;
    if (events !== this.events)
      throw new Altered(
        this.chain.position + 1,
        `the end line counts ${events} events, ${this.events} are there`,
      );
  }

  /** @param leaf of the event at the position */
  private meet(position: number, leaf: Buffer): void {
    for (let next = this.expected[this.met]; next && next.at <= position; next = this.expected[this.met]) {
      this.met += 1;
      if (next.at === position) this.hold(next, leaf);
    }
  }

  private hold({ at, of, root, leaf: expected, lost, isUnsigned, told }: Expectation, leaf: Buffer): void {
    told?.(this.frontier.root());
    if (lost !== undefined) throw new Altered(at + 1, `${of}: ${lost}`);
    if (expected !== undefined && expected !== leaf.toString('hex'))
      throw new Altered(at, `${of} has the leaf ${expected}, the export has ${leaf.toString('hex')}`);
    if (root === undefined) return;
    if (!root.equals(this.frontier.root())) {
      const from = this.covered + 1;
      if (this.covered === at) throw new Altered(at, `${of}: another one of as many events has another root`);
      throw new Altered(
        from,
        `${of}: the events are others; the first that differs is one of ${from} to ${at}`,
      );
    }
    if (!isUnsigned) this.covered = at;
  }

  private meetTheRest({ position: end }: LogLine): void {
    const { position } = this.chain;
    if (end !== position)
      throw new Altered(position + 1, `the head of the log stands at ${end}, its events end at ${position}`);
    const next = this.expected[this.met];
    if (next) throw new Altered(position + 1, `the log ends at ${position}. ${next.of} says that it went on`);
  }
}
