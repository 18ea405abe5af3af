import { setTimeout as sleep } from 'node:timers/promises';

import { backOffMs } from './back-off.js';
import type { Problem, Verdict } from './verdict.js';

/** What became of a call after all its tries. */
export type Outcome<T> =
  | { readonly type: 'done'; readonly value: T }
  /** `mayHaveLanded`: a try before, whose answer was lost, may have taken effect. */
  | { readonly type: 'refused'; readonly problem: Problem; readonly mayHaveLanded: boolean }
  | { readonly type: 'gave-up'; readonly mayHaveLanded: boolean; readonly why: string };

export interface Bounds {
  /** No try begins later than this after the first one. */
  readonly withinMs: number;
  /** How long one try may take, when so much of the time is left. */
  readonly tryMs: (leftMs: number) => number;
  readonly interrupted: AbortSignal;
  /** Told of each failure; an empty text when there is nothing to tell any more. */
  readonly progress: (text: string) => void;
}

interface Place {
  readonly url: URL;
  failures: number;
  /** `performance.now()` before which it is left alone. */
  notBefore: number;
  why: string;
}

/**
 * Tries the addresses in turn, each at once the first time and after a back-off when it has failed, until one settles
 * the matter or the time is over. An address that is not the control plane's is not asked again.
 */
export async function inTurn<T>(
  urls: readonly URL[],
  { withinMs, tryMs, interrupted, progress }: Bounds,
  tryOne: (url: URL, signal: AbortSignal) => Promise<Verdict<T>>,
): Promise<Outcome<T>> {
  const end = performance.now() + withinMs;
  const places: Place[] = urls.map((url) => ({ url, failures: 0, notBefore: 0, why: '' }));
  const foreign: Place[] = [];
  let mayHaveLanded = false;
  let tries = 0;
  for (;;) {
    const [place] = places.sort((one, other) => one.notBefore - other.notBefore);
    if (place === undefined || (tries > 0 && place.notBefore >= end) || hasEnded(interrupted)) break;
    await waitUntil(place.notBefore, interrupted);
    if (hasEnded(interrupted)) break;
    const left = Math.max(end - performance.now(), 1);
    const signal = AbortSignal.any([interrupted, AbortSignal.timeout(Math.ceil(tryMs(left)))]);
    tries += 1;
    const verdict = await tryOne(place.url, signal);
    if (verdict.type === 'done' || verdict.type === 'refused') {
      progress('');
      return verdict.type === 'refused' ? { ...verdict, mayHaveLanded } : verdict;
    }
    place.why = verdict.why;
    if (verdict.type === 'foreign') {
      foreign.push(...places.splice(places.indexOf(place), 1));
    } else {
      mayHaveLanded ||= verdict.mayHaveLanded;
      place.failures += 1;
      place.notBefore = performance.now() + backOffMs(place.failures, verdict.afterMs, Math.random());
    }
    const seconds = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    progress(`${nameOf(place)} ${place.why}; trying on for ${seconds} s`);
  }
  progress('');
  return {
    type: 'gave-up',
    mayHaveLanded,
    why: wordsOf([...places, ...foreign], tries, interrupted.aborted),
  };
}

/** Read anew: it changes while something else is waited for. */
function hasEnded(interrupted: AbortSignal): boolean {
  return interrupted.aborted;
}

async function waitUntil(time: number, interrupted: AbortSignal): Promise<void> {
  const ms = time - performance.now();
  if (ms > 0) await sleep(ms, undefined, { signal: interrupted }).catch(() => undefined);
}

function wordsOf(places: readonly Place[], tries: number, interrupted: boolean): string {
  if (interrupted) return 'interrupted';
  const asked = places.filter(({ why }) => why !== '');
  const count = tries > asked.length ? ` (${tries} tries)` : '';
  return asked.map((place) => `${nameOf(place)} ${place.why.replace(/\.$/, '')}`).join('; ') + count;
}

/** Without a password that it may carry. */
function nameOf({ url }: Place): string {
  return url.origin + url.pathname.replace(/\/$/, '');
}
