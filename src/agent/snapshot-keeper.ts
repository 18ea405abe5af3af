import { pause } from './deadline.js';
import { type Knowledge, NOTHING_KNOWN } from './knowledge.js';
import type { Log } from './log.js';
import { readSnapshot, SnapshotWriter } from './snapshot.js';

export interface SnapshotRules {
  readonly fleet: string;
  readonly bootGraceMs: number;
}

/** Carries what is known over a restart. Two clocks: monotonic while the process runs, the wall's on disk. */
export class SnapshotKeeper {
  private readonly writer: SnapshotWriter;
  /** Loads that a former life has sent and not seen. */
  begun: readonly string[] = [];
  private kept: Knowledge | undefined;
  private keptBegun = '';
  private keptAt = -Infinity;

  constructor(
    private readonly file: string,
    private readonly rules: SnapshotRules,
    private readonly saveMs: number,
    private readonly log: Log,
  ) {
    this.writer = new SnapshotWriter(file, log);
  }

  async read(): Promise<Knowledge> {
    const snapshot = await readSnapshot(this.file, this.rules.fleet, this.log);
    if (!snapshot) return NOTHING_KNOWN;
    const known = knowledgeFrom(snapshot, this.rules.bootGraceMs, Date.now(), performance.now());
    this.kept = known;
    this.begun = snapshot.begun;
    this.log('info', 'snapshot read', { origin: known.origin, ...snapshot.state });
    return known;
  }

  /** A new state, and a load that is begun, is written at once, a confirmation alone not so often. */
  keep(knowledge: Knowledge, begun: readonly string[]): void {
    const now = performance.now();
    const isNew = knowledge.state !== this.kept?.state || begun.join() !== this.keptBegun;
    const isDue = now - this.keptAt >= this.saveMs && knowledge.confirmedAt !== this.kept?.confirmedAt;
    if (knowledge.state === null || !(isNew || isDue)) return;
    this.kept = knowledge;
    this.keptBegun = begun.join();
    this.keptAt = now;
    const { state, confirmedAt } = knowledge;
    const wall = confirmedAt === null ? null : Date.now() - (now - confirmedAt);
    void this.writer.save({ state, confirmedAt: wall, begun });
  }

  /** Waits until what is known is on disk, or cannot be: but not for ever. */
  async flush(milliseconds: number): Promise<void> {
    const until = performance.now() + milliseconds;
    for (let { busy } = this.writer; busy; { busy } = this.writer) {
      const left = until - performance.now();
      if (left <= 0) return;
      const done = new AbortController();
      void busy.then(() => {
        done.abort();
      });
      await pause(left, done.signal);
    }
  }
}

/** @param wall now, by the wall clock @param now the same, monotonic */
export function knowledgeFrom(
  { state, confirmedAt }: { readonly state: Knowledge['state']; readonly confirmedAt: number | null },
  graceMs: number,
  wall: number,
  now: number,
): Knowledge {
  const age = confirmedAt === null ? NaN : wall - confirmedAt;
  // A time in the future says that a clock is wrong: nobody knows how old it is.
  const known = age >= 0;
  return {
    state,
    origin: known && age < graceMs ? 'recent-snapshot' : 'old-snapshot',
    confirmedAt: known ? now - age : null,
    held: null,
  };
}
