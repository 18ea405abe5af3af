import { pause } from './deadline.js';
import { tagOf } from './fleet-state.js';
import type { Session } from './session.js';

/** Follows one replica by reads that wait for news, until a stream should be tried again. Throws when one fails. */
export async function followWaitingReads(session: Session): Promise<void> {
  const { replica, listener, timing, confirmMs, signal } = session;
  const until = performance.now() + timing.streamAgainMs;
  const waitMs = confirmMs > 0 ? Math.min(confirmMs, timing.waitMs) : timing.waitMs;
  // What the replica has said last, whether it was obeyed or not: the next read waits for something else.
  let seen = listener.knownTag();
  // Not before it has answered once: one that hangs must not keep the agent from the other replicas for so long.
  let answers = false;
  while (performance.now() < until && !signal.aborted) {
    const began = performance.now();
    const { state, stale } = await replica.status({
      tag: seen,
      // Less than a second cannot be waited for: the reads are so far apart then.
      waitSeconds: answers ? Math.floor(waitMs / 1000) : 0,
      patienceMs: timing.openMs,
      signal,
    });
    answers = true;
    const verdict = state && listener.learn(state, stale);
    if (!state && seen !== undefined) listener.confirm(seen);
    if (stale) throw new Error('the replica cannot ask the log');
    if (verdict === 'older') throw new Error('the replica is behind what is known');
    if (state) seen = tagOf(state);
    session.heard();
    const rest = Math.min(timing.pollMs, waitMs) - (performance.now() - began);
    // Something between here and there does not let reads wait.
    if (verdict !== 'new' && rest > 0) await pause(rest, signal);
  }
}
