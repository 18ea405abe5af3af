import type { Answered } from './agreement-call.js';
import type { Node } from './agreement-node.js';

/** A command is answered within 2 s, whatever the database does. */
const COMMAND_DUE_MS = 2000;
/** A read waits for the question that is under way and for its own, each of which may take 1 s. */
const READ_DUE_MS = 2500;
const TICK_MS = 20;

/** An answer, with what was asked and how long it was asked to wait. */
export interface Timed extends Pick<Answered, 'sentAt' | 'receivedAt' | 'status'> {
  readonly replica: string;
  readonly what: string;
  readonly waitMs: number;
}

/**
 * Says which answers came later than they are due. What this process itself was late meanwhile is the machine's, which
 * has few cores for many processes: it is measured, and taken off.
 */
export class Stopwatch {
  private readonly lateness: { readonly at: number; readonly by: number }[] = [];
  private readonly ticking: NodeJS.Timeout;

  constructor(private readonly nodes: readonly Node[]) {
    let due = performance.now() + TICK_MS;
    this.ticking = setInterval(() => {
      const now = performance.now();
      if (now - due > TICK_MS) this.lateness.push({ at: now, by: now - due });
      due = now + TICK_MS;
    }, TICK_MS);
  }

  stop(): void {
    clearInterval(this.ticking);
  }

  late(answers: readonly Timed[]): string[] {
    const lines: string[] = [];
    for (const answer of answers) {
      const { what, replica, status, sentAt, receivedAt, waitMs } = answer;
      const due = waitMs + (what === 'read' ? READ_DUE_MS : COMMAND_DUE_MS);
      const took = receivedAt - sentAt;
      if (status === 0 || took <= due || this.nodes.some((node) => node.stoodStill(answer))) continue;
      const own = this.lateness
        .filter(({ at }) => at >= sentAt && at <= receivedAt + TICK_MS)
        .reduce((sum, { by }) => sum + by, 0);
      if (took - own > due)
        lines.push(
          `${what} on ${replica}: ${status} after ${Math.round(took)} ms, ${Math.round(own)} of them here`,
        );
    }
    return lines;
  }
}
