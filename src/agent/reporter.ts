import { backOff } from './back-off.js';
import type { ControlPlane } from './control-plane.js';
import { pause } from './deadline.js';
import type { EngineReport } from './engine-report.js';
import { type Log, reasonOf } from './log.js';
import type { Timing } from './timing.js';

/** Tells the control plane of the engine: at once after a change, and every so often. One call at a time. */
export class Reporter {
  /** What the control plane says of another agent under this id; null when there is none. */
  conflict: string | null = null;
  /** Why the last report was taken by none of the replicas; null when it was. */
  refusal: string | null = null;
  private text = '';
  private wake = new AbortController();
  private readonly stopped = new AbortController();
  private readonly calling = new AbortController();
  private running: Promise<void> | undefined;
  /** The replica that answered last. */
  private favourite = 0;

  constructor(
    private readonly engine: { readonly id: string; readonly instance: string },
    private readonly replicas: readonly ControlPlane[],
    private readonly report: () => EngineReport,
    /** What is reported must outlive a crash: waits for that, but not for ever. */
    private readonly kept: () => Promise<void>,
    private readonly heartbeatMs: number,
    private readonly timing: Timing,
    private readonly log: Log,
  ) {}

  start(): void {
    this.running = this.run();
  }

  /** Something may be new. What is under way goes on; the latest goes next. */
  tell(): void {
    if (JSON.stringify(this.report()) !== this.text) this.wake.abort();
  }

  /**
   * Ends the reports. Within a bound: whoever stops the agent does not wait for the control plane.
   * @param leaves takes the engine off the list
   */
  async stop(leaves: boolean): Promise<void> {
    const { stopMs } = this.timing;
    this.stopped.abort();
    this.wake.abort();
    // A report that came after the removal would bring the engine back.
    const patience = setTimeout(() => {
      this.calling.abort(new Error('the agent stops'));
    }, stopMs / 2);
    await this.running;
    clearTimeout(patience);
    if (!leaves) return;
    const bound = new AbortController();
    const timer = setTimeout(() => {
      bound.abort(new Error('the agent stops'));
    }, stopMs / 2);
    const share = stopMs / 2 / this.replicas.length;
    const { id, instance } = this.engine;
    await this.anyReplica((replica) => replica.deleteEngine(id, instance, share, bound.signal));
    clearTimeout(timer);
  }

  private async run(): Promise<void> {
    let failures = 0;
    for (;;) {
      this.wake = new AbortController();
      await this.kept();
      if (this.stopped.signal.aborted) return;
      const report = this.report();
      this.text = JSON.stringify(report);
      const { reportMs } = this.timing;
      const said = await this.anyReplica(async (replica) => {
        this.heed(await replica.putEngine(this.engine.id, report, reportMs, this.calling.signal));
      });
      failures = said ? 0 : failures + 1;
      // A change does not get a control plane that is down asked more often.
      if (!said) await pause(backOff(failures, this.timing.backOff), this.stopped.signal);
      else await pause(this.heartbeatMs, this.wake.signal);
    }
  }

  /** Another agent under this id is a fault of the configuration, which only people can end. */
  private heed(conflict: string | null): void {
    if (conflict !== null && this.conflict === null)
      this.log('error', 'another agent reports under this id: kills are not proven', {
        ...this.engine,
        reason: conflict,
      });
    if (conflict === null && this.conflict !== null)
      this.log('info', 'this id has one agent again', this.engine);
    this.conflict = conflict;
  }

  /** @returns whether one took it */
  private async anyReplica(call: (replica: ControlPlane) => Promise<void>): Promise<boolean> {
    let reason = '';
    const order = [...this.replicas.slice(this.favourite), ...this.replicas.slice(0, this.favourite)];
    for (const replica of order) {
      try {
        await call(replica);
        this.favourite = this.replicas.indexOf(replica);
        if (this.refusal !== null) this.log('info', 'reports are taken again');
        this.refusal = null;
        return true;
      } catch (error) {
        reason = reasonOf(error);
      }
    }
    if (this.refusal === null) this.log('warn', 'reports are not taken', { reason });
    this.refusal = reason;
    return false;
  }
}
