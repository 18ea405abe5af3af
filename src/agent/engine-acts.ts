import { within } from './deadline.js';
import { type Driver, EngineError, type Look } from './driver.js';
import { type Log, reasonOf } from './log.js';

export interface ActLimits {
  readonly loadMs: number;
  readonly unloadMs: number;
}

/** How an act ended: nobody knows what an engine that did not answer has done. */
export type Outcome = 'answered' | 'refused' | 'unknown';

/** What is under way at an engine: at most one load, and one unload of each adapter. None waits for another. */
export class EngineActs {
  /** Why the last act that was no success was none. */
  failure: EngineError | undefined;
  private readonly unloads = new Map<string, Promise<void>>();
  private load: { readonly version: string; readonly own: AbortController } | undefined;
  /** Versions that a load was sent for, with the time after which a list tells of it. */
  private readonly sent = new Map<string, number>();
  private lastLine = '';

  constructor(
    private readonly driver: Driver,
    private readonly limits: ActLimits,
    private readonly ended: (act: string, outcome: Outcome) => void,
    private readonly log: Log,
  ) {}

  get loading(): string | undefined {
    return this.load?.version;
  }

  /** What may be loaded without having been listed yet. */
  get unseen(): readonly string[] {
    return [...this.sent.keys()];
  }

  /** The unloads under way, to be waited for. */
  get unloading(): readonly Promise<void>[] {
    return [...this.unloads.values()];
  }

  isUnloading(adapter: string): boolean {
    return this.unloads.has(adapter);
  }

  /** A list that began then shows what came of earlier loads. */
  listed(startedAt: number): void {
    for (const [version, end] of this.sent) if (end < startedAt) this.sent.delete(version);
  }

  startLoad(version: string): void {
    const own = new AbortController();
    this.load = { version, own };
    const former = this.sent.get(version);
    this.sent.set(version, Infinity);
    let looking = false;
    const look: Look = async (asking) => {
      looking = true;
      const seen = await asking;
      looking = false;
      return seen;
    };
    const load = (ending: AbortSignal) => this.driver.ensureLoaded(version, ending, look);
    void this.run('load', version, () => within(this.limits.loadMs, own.signal, load)).then((outcome) => {
      if (this.load?.own === own) this.load = undefined;
      // What has not been sent cannot land; one that was sent before still may.
      const end = looking ? former : performance.now();
      if (end === undefined) this.sent.delete(version);
      else if (this.sent.has(version)) this.sent.set(version, end);
      this.ended(`load ${version}`, looking && outcome === 'unknown' ? 'refused' : outcome);
    });
  }

  /** The engine may still finish it. */
  abortLoad(why: string): void {
    this.load?.own.abort(new Error(`ended by: ${why}`));
    this.load = undefined;
  }

  startUnload(adapter: string, signal: AbortSignal): void {
    const unload = (ending: AbortSignal) => this.driver.ensureUnloaded(adapter, ending);
    const act = this.run('unload', adapter, () => within(this.limits.unloadMs, signal, unload));
    const end = act.then((outcome) => {
      this.unloads.delete(adapter);
      this.ended(`unload ${adapter}`, outcome);
    });
    this.unloads.set(adapter, end);
  }

  private async run(act: string, adapter: string, work: () => Promise<void>): Promise<Outcome> {
    const began = performance.now();
    try {
      await work();
      this.failure = undefined;
      this.say('info', act, adapter, { ms: Math.round(performance.now() - began) });
      return 'answered';
    } catch (error) {
      // What is no EngineError is a time-out, an abort, or a fault of the driver: anything may have happened.
      const known = error instanceof EngineError;
      const reason = known ? error.message : reasonOf(error);
      const kind = known ? error.kind : 'unreachable';
      this.failure = new EngineError(kind, `${act} ${adapter}: ${reason}`, { cause: error });
      this.say('warn', act, adapter, { reason });
      return known && error.kind !== 'unreachable' ? 'refused' : 'unknown';
    }
  }

  /** The same failure again and again is one line. */
  private say(level: 'info' | 'warn', act: string, adapter: string, more: Record<string, unknown>): void {
    const line = JSON.stringify([act, adapter, more.reason]);
    if (level === 'warn' && line === this.lastLine) return;
    this.lastLine = line;
    this.log(level, level === 'info' ? 'engine act' : 'engine act failed', { act, adapter, ...more });
  }
}
