import { type ActLimits, EngineActs, type Outcome } from './engine-acts.js';
import { Attempts } from './attempts.js';
import { pause, within } from './deadline.js';
import { type Driver, EngineError, type Observed } from './driver.js';
import { type Log, reasonOf } from './log.js';
import { plan } from './plan.js';
import type { Target } from './target.js';
import type { Timing } from './timing.js';

/** What the engine has shown. */
export interface Sight {
  readonly observed: Observed;
  /** The decision that was valid before it was asked: a sight tells nothing of a later one. */
  readonly under: Target;
}

export interface ReconcilerOptions extends ActLimits {
  readonly reconcileMs: number;
  readonly timing: Timing;
}

/** After an act of which nobody knows the outcome. */
interface Doubt {
  /** Since when the engine has been as desired; undefined while it is not. */
  since: number | undefined;
  /** Loads that were given up, until they have shown themselves, and when each is not to be feared any more. */
  readonly loads: Map<string, number>;
}

/** Makes one engine match the newest target: lists, acts, lists again, for ever. */
export class Reconciler {
  /** The last list that came. */
  sight: Sight | undefined;
  /** Why the last list did not come. */
  trouble: EngineError | undefined;
  private readonly acts: EngineActs;
  private readonly attempts: Attempts;
  private wake = new AbortController();
  private readonly stopped = new AbortController();
  private doubt: Doubt | undefined;

  constructor(
    private readonly driver: Driver,
    private target: Target,
    private readonly options: ReconcilerOptions,
    private readonly changed: () => void,
    private readonly log: Log,
    /** Loads of a former life. */
    begun: readonly string[] = [],
  ) {
    for (const version of begun) this.fear(loadOf(version));
    this.attempts = new Attempts(options.timing.quickMs, options.reconcileMs);
    const ended = (act: string, outcome: Outcome): void => {
      this.ended(act, outcome);
    };
    this.acts = new EngineActs(driver, options, ended, log);
  }

  /** Why the engine is not as desired, if it has said so. */
  get failure(): EngineError | undefined {
    return this.trouble ?? this.acts.failure;
  }

  /** Versions whose load was given up, and may still land. */
  get mayStillLand(): readonly string[] {
    return [...(this.doubt?.loads.keys() ?? [])];
  }

  /** Versions that a load was sent for and that have not been seen since. */
  get begun(): readonly string[] {
    return [...new Set([...this.acts.unseen, ...this.mayStillLand])];
  }

  /** Whether the engine was seen to serve the base model alone, and no load that was begun may change that. */
  get isBare(): boolean {
    const bare = this.trouble === undefined && this.sight?.observed.adapters.length === 0;
    return bare && this.begun.length === 0;
  }

  /** A newer decision. What is to go goes at once: before the next list, and whatever is under way. */
  aim(target: Target): void {
    const { adapter, why } = target.desired;
    const moved = adapter !== this.target.desired.adapter;
    this.target = target;
    if (moved) {
      this.attempts.clear();
      if (this.doubt) this.doubt.since = undefined;
      if (this.acts.loading !== undefined && this.acts.loading !== adapter) this.acts.abortLoad(why);
      const known = [...(this.sight?.observed.adapters ?? []), ...this.acts.unseen];
      const next = plan(known, adapter, this.driver.loadReplaces);
      if (next.act === 'unload') this.unload(next.adapters);
    }
    this.wake.abort();
  }

  async run(): Promise<void> {
    const { signal } = this.stopped;
    while (!signal.aborted) {
      this.wake = new AbortController();
      // An unload that is quick is in the next list then; one that hangs does not hold the list up.
      if (this.acts.unloading.length > 0) await this.unloadsOr(this.options.timing.quickMs);
      await this.look(signal);
      const now = performance.now();
      this.act(now);
      await pause(this.pace(now), this.wake.signal);
    }
  }

  /** Leaves the engine as it is. */
  stop(): void {
    this.stopped.abort(new Error('the agent stops'));
    this.acts.abortLoad('the agent stops');
    this.wake.abort();
  }

  private async look(signal: AbortSignal): Promise<void> {
    const under = this.target;
    const startedAt = performance.now();
    try {
      const observed = await within(this.options.timing.listMs, signal, (ending) => this.driver.list(ending));
      this.sight = { observed, under };
      this.acts.listed(startedAt);
      if (this.trouble) this.log('info', 'engine answers');
      this.trouble = undefined;
      this.judge(observed, under, startedAt);
    } catch (error) {
      if (signal.aborted) return;
      const known = error instanceof EngineError;
      const trouble = known ? error : new EngineError('unreachable', reasonOf(error), { cause: error });
      if (this.trouble?.message !== trouble.message) {
        this.log('warn', 'engine does not say what it serves', {
          kind: trouble.kind,
          reason: trouble.message,
        });
      }
      this.trouble = trouble;
    }
    this.changed();
  }

  /** Whether the engine has stayed as desired for so long that a late load is not to be feared. */
  private judge({ adapters }: Observed, under: Target, startedAt: number): void {
    const asDesired = plan(adapters, under.desired.adapter).act === 'nothing';
    if (asDesired) this.acts.failure = undefined;
    if (!this.doubt) return;
    this.doubt.since = asDesired ? (this.doubt.since ?? startedAt) : undefined;
    const { since, loads } = this.doubt;
    const clean = since !== undefined && startedAt - since >= 2 * this.options.reconcileMs;
    for (const [version, until] of loads) {
      // What has landed can be seen to go again.
      if (adapters.includes(version) || (clean && startedAt >= until)) loads.delete(version);
    }
    if (clean && loads.size === 0) this.doubt = undefined;
  }

  /** By the newest target, whatever the list was made under. */
  private act(now: number): void {
    if (this.trouble || !this.sight || this.stopped.signal.aborted) return;
    const { loadReplaces } = this.driver;
    const next = plan(this.sight.observed.adapters, this.target.desired.adapter, loadReplaces);
    const names =
      next.act === 'unload' ? next.adapters.map(unloadOf) : next.act === 'load' ? [loadOf(next.version)] : [];
    this.attempts.keep(new Set(names));
    if (next.act === 'unload') this.unload(next.adapters, now);
    if (next.act !== 'load' || this.acts.loading !== undefined || this.acts.isUnloading(next.version)) return;
    if (!this.attempts.isDue(loadOf(next.version), now)) return;
    this.acts.startLoad(next.version);
    this.changed();
  }

  private unload(adapters: readonly string[], now = performance.now()): void {
    for (const adapter of adapters) {
      if (this.acts.isUnloading(adapter) || !this.attempts.isDue(unloadOf(adapter), now)) continue;
      this.acts.startUnload(adapter, this.stopped.signal);
    }
  }

  private ended(act: string, outcome: Outcome): void {
    if (this.stopped.signal.aborted) return;
    if (outcome === 'unknown') this.fear(act);
    this.attempts.add(act, performance.now());
    this.wake.abort();
  }

  private fear(act: string): void {
    this.doubt = { since: undefined, loads: this.doubt?.loads ?? new Map<string, number>() };
    if (!act.startsWith(LOAD)) return;
    this.doubt.loads.set(act.slice(LOAD.length), performance.now() + this.options.loadMs);
  }

  private async unloadsOr(milliseconds: number): Promise<void> {
    const done = new AbortController();
    void Promise.all(this.acts.unloading).then(() => {
      done.abort();
    });
    await pause(milliseconds, done.signal);
  }

  private pace(now: number): number {
    const { reconcileMs, timing } = this.options;
    if (this.trouble) return Math.min(timing.returnMs, reconcileMs);
    const usual = this.doubt ? Math.min(timing.quickMs, reconcileMs) : reconcileMs;
    return Math.min(usual, this.attempts.untilNext(now));
  }
}

const LOAD = 'load ';
const loadOf = (version: string): string => LOAD + version;
const unloadOf = (adapter: string): string => `unload ${adapter}`;
