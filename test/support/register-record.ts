import type { Reply } from './http.js';
import type { Told } from './register-attack.js';

/** What an engine did to its row: a report, or its removal. */
export interface Act {
  /** The generation that the report proves; null when it proves none. */
  readonly matches: number | null;
  readonly removal: boolean;
}

/** From the sending of a call to its answer. */
interface Span {
  readonly from: number;
  readonly to: number;
}

interface Done extends Act {
  readonly from: number;
  /** Infinity while it is under way, and when nobody knows whether it was done. */
  to: number;
}

/** Longer than any call takes. */
const KEPT_MS = 30_000;

/** What engines have sent, and whether a claim about them can be true. Each engine does one thing at a time. */
export class RegisterRecord {
  readonly violations: string[] = [];
  /** `engine generation` of every report that proves one. */
  readonly proofs = new Set<string>();
  private readonly acts = new Map<string, Done[]>();

  async act(engine: string, act: Act, send: () => Promise<Reply>): Promise<void> {
    const done: Done = { ...act, from: performance.now(), to: Infinity };
    const before = (this.acts.get(engine) ?? []).filter(({ to }, nth, all) => {
      return to > done.from - KEPT_MS || nth === all.length - 1;
    });
    this.acts.set(engine, [...before, done]);
    if (act.matches !== null) this.proofs.add(`${engine} ${act.matches}`);
    const { status } = await send();
    // A row that is not there is gone, too.
    if (status < 300 || status === 404) done.to = performance.now();
  }

  /**
   * `converged` of the engines of today: each one's row can have been gone, or its proof of that generation; once that is
   * overtaken it has sent one some time.
   */
  judge(engines: readonly string[], told: Told, span: Span): void {
    let least = 0;
    for (const engine of engines) {
      const rows = this.possible(engine, span);
      if (rows.every(stands)) least++;
      const sent = told.superseded_by !== undefined && this.proofs.has(`${engine} ${told.generation}`);
      if (!sent && !rows.some((row) => !stands(row) || row.matches === told.generation))
        this.violations.push(`converged at ${told.generation}, and ${engine} had ${JSON.stringify(rows)}`);
    }
    if (told.engines < least || told.acknowledged !== told.engines || told.engines === 0)
      this.violations.push(`${JSON.stringify(told)}, and ${least} engines stood registered`);
  }

  /** `converged` of the engines at the commit: each that stood all the time has sent its proof by then. */
  judgeCommit(engines: readonly string[], told: Told, span: Span): void {
    const standing = engines.filter((engine) => this.possible(engine, span).every(stands));
    for (const engine of standing)
      if (!this.proofs.has(`${engine} ${told.generation}`))
        this.violations.push(`the kill ${told.generation} had arrived, and ${engine} had never said so`);
    if (told.engines < standing.length)
      this.violations.push(`${JSON.stringify(told)}, and ${standing.length} engines stood registered`);
  }

  /** What the engine's row can have rested on at some time of the span; undefined: on nothing yet. */
  private possible(engine: string, { from, to }: Span): (Done | undefined)[] {
    const acts = this.acts.get(engine) ?? [];
    const before = acts.filter((act) => act.to < from).at(-1);
    return [before, ...acts.filter((act) => act.to >= from && act.from <= to)];
  }
}

function stands(row: Act | undefined): row is Act {
  return row?.removal === false;
}
