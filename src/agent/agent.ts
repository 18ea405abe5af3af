import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { ControlPlane } from './control-plane.js';
import { pause } from './deadline.js';
import { desired } from './desired.js';
import type { Driver } from './driver.js';
import { effectiveOf } from './effective.js';
import { reportOf } from './engine-report.js';
import { type FleetState, tagOf } from './fleet-state.js';
import { Follower } from './follower.js';
import { HandBrake } from './hand-brake.js';
import { confirm, type Knowledge, learn, type Verdict } from './knowledge.js';
import { type Log, reasonOf } from './log.js';
import { LoopbackServer } from './loopback-server.js';
import { Obedience } from './obedience.js';
import { Reconciler } from './reconciler.js';
import { Reporter } from './reporter.js';
import { routesOf } from './routes.js';
import type { AgentSettings } from './settings.js';
import { SnapshotKeeper } from './snapshot-keeper.js';
import type { Listener } from './session.js';
import { sameTarget, type Target } from './target.js';
import { type Timing, TIMING } from './timing.js';

export interface AgentParts {
  readonly settings: AgentSettings;
  readonly driver: Driver;
  readonly log: Log;
  readonly version: string;
  /** The token for the control plane, asked at each use; none when absent. */
  readonly token?: () => string | undefined;
  readonly timing?: Partial<Timing>;
}

/** Runs beside one engine: makes it match the state of the fleet, and reports what it sees. */
export class Agent implements Listener {
  /** Tells this agent from another one with the same id. */
  readonly instance = randomUUID();
  readonly brake: HandBrake;
  readonly reconciler: Reconciler;
  readonly follower: Follower;
  private readonly timing: Timing;
  private readonly reporter: Reporter;
  private readonly server: LoopbackServer;
  private readonly obedience: Obedience;
  private readonly stopped = new AbortController();
  private target: Target;

  private constructor(
    private readonly parts: AgentParts,
    private readonly keeper: SnapshotKeeper,
    private knowledge: Knowledge,
    brake: (changed: () => void) => HandBrake,
  ) {
    const { settings, driver, log } = parts;
    this.timing = { ...TIMING, ...parts.timing };
    this.brake = brake(() => {
      this.decide();
    });
    this.target = this.decision();
    this.obedience = new Obedience(log);
    const replicas = settings.urls.map((url) => new ControlPlane(url, settings.fleet, parts.token));
    const options = { ...settings, timing: this.timing };
    const seen = (): void => {
      this.obedience.look(this.reconciler.sight);
      keeper.keep(this.knowledge, this.reconciler.begun);
      this.reporter.tell();
    };
    this.reconciler = new Reconciler(driver, this.target, options, seen, log, keeper.begun);
    this.follower = new Follower(replicas, this, this.timing, settings.leaseMs / 3, log);
    const { timing } = this;
    const report = () => this.report();
    const kept = () => keeper.flush(timing.diskMs);
    const engine = { id: settings.id, instance: this.instance };
    this.reporter = new Reporter(engine, replicas, report, kept, settings.heartbeatMs, timing, log);
    this.server = new LoopbackServer(routesOf(this));
  }

  /** @throws when the port is taken: then perhaps another agent minds this engine */
  static async start(parts: AgentParts): Promise<{ agent: Agent; port: number }> {
    const { settings, log } = parts;
    const timing: Timing = { ...TIMING, ...parts.timing };
    await mkdir(settings.stateDir, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
      log('warn', 'no folder for the state', { folder: settings.stateDir, reason: reasonOf(error) });
    });
    const file = join(settings.stateDir, 'state.json');
    const keeper = new SnapshotKeeper(file, settings, timing.saveMs, log);
    const known = await keeper.read();
    const agent = new Agent(
      parts,
      keeper,
      known,
      (changed) => new HandBrake(settings.stateDir, changed, log),
    );
    await agent.brake.look();
    const port = await agent.server.listen(settings.port);
    agent.run();
    return { agent, port };
  }

  knownTag(): string | undefined {
    const { state, origin, held } = this.knowledge;
    // What is not confirmed, or has lost its lease, is asked for, so that the answer comes at once.
    const current = state !== null && origin === 'live' && held === null;
    return current && this.target.desired.why !== 'lease-expired' ? tagOf(state) : undefined;
  }

  learn(state: FleetState, stale: boolean): Verdict {
    const { knowledge, verdict } = learn(this.knowledge, state, stale, performance.now());
    if (verdict !== 'confirmed' && verdict !== 'unconfirmed') {
      const level = verdict === 'new' ? 'info' : 'warn';
      this.parts.log(level, 'state received', { verdict, stale, ...state });
    }
    this.know(knowledge);
    return verdict;
  }

  confirm(tag: string): void {
    const { state } = this.knowledge;
    if (state !== null && tagOf(state) === tag) this.know(confirm(this.knowledge, performance.now()));
  }

  get conflict(): string | null {
    return this.reporter.conflict;
  }

  get refusal(): string | null {
    return this.reporter.refusal;
  }

  effective() {
    const { settings } = this.parts;
    return effectiveOf({
      fleet: settings.fleet,
      target: this.target,
      knowledge: this.knowledge,
      localKill: this.brake.on,
      sight: this.reconciler.sight,
      trouble: this.reconciler.trouble,
      blind: settings.driver === 'none',
      adapterName: settings.adapterName,
      now: performance.now(),
    });
  }

  report() {
    const { sight, trouble, failure, mayStillLand } = this.reconciler;
    const { driver, version } = this.parts;
    const seen = { sight, trouble, failure, mayStillLand, localKill: this.brake.on };
    return reportOf({ ...seen, driver, agentVersion: version, instance: this.instance });
  }

  /**
   * Leaves the engine as it is. Takes its row away when it serves the base model: one that serves an adapter, or may
   * still get one, must be missed by the next kill. Ends within a bound.
   */
  async stop(): Promise<void> {
    this.stopped.abort();
    this.reconciler.stop();
    this.server.close();
    const leaves = this.reconciler.isBare;
    await Promise.all([this.reporter.stop(leaves), this.keeper.flush(this.timing.stopMs)]);
  }

  private run(): void {
    const { signal } = this.stopped;
    this.obedience.aim(this.target);
    void this.brake.run(this.timing.tickMs, signal);
    void this.reconciler.run();
    void this.follower.run(signal);
    this.reporter.start();
    void this.watchLease(signal);
  }

  private know(knowledge: Knowledge): void {
    this.knowledge = knowledge;
    this.decide();
    // Only then: a disk that cannot be written to must not hold a kill up.
    this.keeper.keep(knowledge, this.reconciler.begun);
  }

  private decide(): void {
    const next = this.decision();
    if (sameTarget(next, this.target)) return;
    this.target = next;
    this.obedience.aim(next);
    this.reconciler.aim(next);
    this.reporter.tell();
  }

  private decision(): Target {
    const { knowledge } = this;
    const now = performance.now();
    const localKill = this.brake.on;
    const { leaseMs } = this.parts.settings;
    const decided = desired({ knowledge, localKill, leaseMs, now });
    return { desired: decided, state: knowledge.state, held: knowledge.held, localKill, at: now };
  }

  /** Nothing but time ends a lease. */
  private async watchLease(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(this.timing.tickMs, signal);
      this.decide();
    }
  }
}
