import { backOff } from './back-off.js';
import { type ControlPlane, ControlPlaneError, NotAdmitted } from './control-plane.js';
import { pause, TimedOut } from './deadline.js';
import { type Log, reasonOf } from './log.js';
import type { Listener, Session } from './session.js';
import { followStream } from './stream-session.js';
import type { Timing } from './timing.js';
import { followWaitingReads } from './waiting-session.js';

/** Follows the state of the fleet on one replica after another, for ever. Never throws. */
export class Follower {
  /** Whether the replica that is being asked answers. */
  connected = false;
  /** What was said last of the replicas, once and not for every try. */
  private complaint: 'unreachable' | 'refused' | undefined;

  constructor(
    private readonly replicas: readonly ControlPlane[],
    private readonly listener: Listener,
    private readonly timing: Timing,
    private readonly confirmMs: number,
    private readonly log: Log,
  ) {}

  async run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    for (;;) {
      for (const replica of this.replicas) {
        if (signal.aborted) return;
        const began = performance.now();
        await this.visit(replica, signal);
        failures = performance.now() - began >= this.timing.steadyMs ? 0 : failures + 1;
        await pause(backOff(failures, this.timing.backOff), signal);
      }
    }
  }

  private async visit(replica: ControlPlane, signal: AbortSignal): Promise<void> {
    const { listener, timing, confirmMs } = this;
    const contact = { made: false };
    const heard = (): void => {
      contact.made = true;
      this.found(replica);
    };
    const session: Session = { replica, listener, timing, confirmMs, signal, heard };
    try {
      await followStream(session);
    } catch (error) {
      this.lost(replica, error, signal);
      // It is there, but no stream gets through: perhaps a proxy holds streams back.
      const there = error instanceof ControlPlaneError || error instanceof TimedOut;
      if (contact.made || !there) return;
      try {
        await followWaitingReads(session);
      } catch (next) {
        this.lost(replica, next, signal);
      }
    }
  }

  private found({ url }: ControlPlane): void {
    if (!this.connected) this.log('info', 'control plane answers', { url });
    this.connected = true;
    this.complaint = undefined;
  }

  /** The last state stays in force, whatever it is. */
  private lost({ url }: ControlPlane, error: unknown, signal: AbortSignal): void {
    this.connected = false;
    const complaint = error instanceof NotAdmitted ? 'refused' : 'unreachable';
    // That nobody is there says less than that somebody is, who does not let this agent in.
    if (complaint === this.complaint || this.complaint === 'refused' || signal.aborted) return;
    this.complaint = complaint;
    const fields = { url, reason: reasonOf(error) };
    if (complaint === 'refused')
      this.log('error', 'control plane refuses this agent: kills do not arrive', fields);
    else this.log('warn', 'control plane unreachable', fields);
  }
}
