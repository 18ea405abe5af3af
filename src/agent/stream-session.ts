import { type SseItem, sseItems } from '../sse/sse-parser.js';
import { ANSWER_MAX, ControlPlaneError } from './control-plane.js';
import { within } from './deadline.js';
import { tagOf } from './fleet-state.js';
import type { Session } from './session.js';

/**
 * Follows one replica by its stream, until that ends. Always throws the reason: a {@link ControlPlaneError} when the
 * replica answers and its stream is of no use.
 */
export async function followStream(session: Session): Promise<never> {
  const { replica, listener, timing, signal } = session;
  const own = new AbortController();
  const end = (): void => {
    own.abort(signal.reason);
  };
  signal.addEventListener('abort', end);
  const silence = setTimeout(() => {
    own.abort(new ControlPlaneError(`the stream is silent for ${timing.silenceMs / 1000} s`));
  }, timing.silenceMs);
  // What the replica says we have: a heartbeat confirms it.
  let seen = listener.knownTag();
  const asking =
    session.confirmMs > 0
      ? setInterval(() => void confirmBetween(session, own.signal), session.confirmMs)
      : undefined;
  try {
    const body = await within(timing.openMs, own.signal, () => replica.stream(seen, own.signal));
    for await (const item of sseItems(body, ANSWER_MAX)) {
      silence.refresh();
      seen = take(session, item, seen);
      session.heard();
    }
    throw new Error('the stream has ended');
  } catch (error) {
    // The reason for which it was ended says more than the broken read that followed.
    throw own.signal.aborted ? (own.signal.reason as Error) : error;
  } finally {
    clearTimeout(silence);
    clearInterval(asking);
    signal.removeEventListener('abort', end);
    own.abort();
  }
}

/** @returns the tag of what the replica has said to be current */
function take({ replica, listener }: Session, item: SseItem, seen: string | undefined): string | undefined {
  if ('comment' in item) {
    if (seen !== undefined) listener.confirm(seen);
    return seen;
  }
  if (item.event === 'stale') throw new Error('the replica has lost touch with the log');
  if (item.event !== 'state') return seen;
  const state = replica.parseState(item.data);
  if (listener.learn(state, false) === 'older') throw new Error('the replica is behind what is known');
  return tagOf(state);
}

/** Heartbeats are too far apart for a short lease. */
async function confirmBetween({ replica, listener, timing }: Session, signal: AbortSignal): Promise<void> {
  const tag = listener.knownTag();
  try {
    const { state, stale } = await replica.status({ tag, waitSeconds: 0, patienceMs: timing.openMs, signal });
    if (state) listener.learn(state, stale);
    else if (tag !== undefined) listener.confirm(tag);
  } catch {
    // The stream itself tells when the replica has gone.
  }
}
