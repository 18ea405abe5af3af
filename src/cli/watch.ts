import { setTimeout as sleep } from 'node:timers/promises';

import { sseItems } from '../sse/sse-parser.js';
import type { StateView, Status } from './answers.js';
import { backOffMs } from './back-off.js';
import { EXIT } from './ends.js';
import { query } from './options.js';
import type { Session } from './session.js';
import { newsLine, tagOf } from './watch-words.js';

/** The service sends a heartbeat every 15 s: after more than two without one the stream is dead. */
const SILENCE_MS = 35_000;
const OPEN_MS = 5000;
/** A server that ends each stream at once must not be asked in a tight loop. */
const LASTING_MS = 1000;
const WAIT_SECONDS = 25;
const NOTHING_NEW = 304;
/** A broken server may send a line without end. */
const EVENT_MAX = 1024 * 1024;

/** What is known so far, so that nothing is told twice, whichever replica tells it. */
interface Watched {
  readonly fleet: string;
  tag: string;
  lost: boolean;
}

/** Tells each new state of a fleet, replica after replica, until Ctrl-C. */
export async function watch(session: Session, first: Status): Promise<number> {
  const { client, interrupted, terminal } = session;
  const watched: Watched = { fleet: first.fleet, tag: tagOf(first), lost: false };
  for (let turn = 0, failures = 0; !interrupted.aborted; turn += 1) {
    const url = client.urls[turn % client.urls.length];
    if (url === undefined) break;
    const followed = (await follow(session, url, watched)) || (await waitAt(session, url, watched));
    failures = followed ? 0 : failures + 1;
    // A stream that ends in good order is taken up at the next replica; only when none is left there is news to tell.
    if (failures < client.urls.length) continue;
    if (!watched.lost && !aborted(session)) {
      terminal.err('loractl: no replica can tell now; trying on. What was said last may be over.');
      watched.lost = true;
    }
    const rest = backOffMs(failures, 0, Math.random());
    await sleep(rest, undefined, { signal: interrupted }).catch(() => undefined);
  }
  return EXIT.done;
}

/** @returns whether there was a stream that told something, or lasted */
async function follow(session: Session, url: URL, watched: Watched): Promise<boolean> {
  const { client, interrupted } = session;
  const signal = AbortSignal.any([interrupted, AbortSignal.timeout(OPEN_MS)]);
  const path = `/lora/stream${query({ fleet: watched.fleet })}`;
  const headers = { 'Last-Event-ID': watched.tag };
  const opened = await client.openAt(url, path, 'text/event-stream', headers, signal);
  if (opened.type !== 'done') return false;
  const stream = opened.value;
  const openedAt = performance.now();
  let told = false;
  stream.setTimeout(SILENCE_MS, () => stream.destroy());
  const close = (): void => {
    stream.destroy();
  };
  interrupted.addEventListener('abort', close);
  const lasting = setTimeout(() => {
    found(session, watched);
  }, LASTING_MS);
  try {
    for await (const item of sseItems(stream as AsyncIterable<Buffer>, EVENT_MAX)) {
      if (!('event' in item)) continue;
      if (item.event === 'stale') break;
      if (item.event !== 'state') continue;
      told = true;
      found(session, watched);
      tell(session, watched, JSON.parse(item.data) as StateView);
    }
  } catch {
    // Cut off: the next one takes over.
  } finally {
    clearTimeout(lasting);
    interrupted.removeEventListener('abort', close);
    stream.destroy();
  }
  return told || performance.now() - openedAt > LASTING_MS;
}

/** Where a proxy lets no stream through, or a replica has no place for another, reads that wait tell the same. */
async function waitAt(session: Session, url: URL, watched: Watched): Promise<boolean> {
  const { client, interrupted } = session;
  const call = {
    method: 'GET' as const,
    path: `/lora/status${query({ fleet: watched.fleet })}`,
    headers: { 'If-None-Match': `"${watched.tag}"`, Prefer: `wait=${WAIT_SECONDS}` },
  };
  const signal = AbortSignal.any([interrupted, AbortSignal.timeout((WAIT_SECONDS + 5) * 1000)]);
  const verdict = await client.once(url, call, 'generation', signal);
  if (verdict.type === 'foreign' && verdict.status === NOTHING_NEW) {
    found(session, watched);
    return true;
  }
  if (verdict.type !== 'done') return false;
  const state = verdict.value.body;
  // What is stale is no news, and no sign that this replica can tell any.
  if (state.stale) return false;
  found(session, watched);
  tell(session, watched, state);
  return true;
}

function found({ terminal }: Session, watched: Watched): void {
  if (watched.lost) terminal.err('loractl: a replica tells again.');
  watched.lost = false;
}

function tell({ terminal, json, now }: Session, watched: Watched, state: StateView): void {
  if (tagOf(state) === watched.tag) return;
  watched.tag = tagOf(state);
  terminal.out(json ? JSON.stringify(state) : newsLine(state, now(), terminal.paint));
}

/** Read anew: it changes while something else is waited for. */
function aborted({ interrupted }: Session): boolean {
  return interrupted.aborted;
}
