import { describe, expect, it } from '@jest/globals';

import type { Caller } from '../../src/http/caller.js';
import { ANONYMOUS } from '../../src/http/identity.js';
import { preferredWait } from '../../src/lora/prefer-wait.js';

const { signal } = new AbortController();

/** Somebody who prefers this; what else a caller is does not matter here. */
function caller(prefer: string | undefined, gone: () => AbortSignal): Caller {
  return {
    identity: ANONYMOUS,
    onlyOwn: false,
    origin: { actor: 'anonymous', auth: 'none', source: null, remote_address: null, request_id: 'r' },
    arrivedAt: 0,
    headers: prefer === undefined ? {} : { prefer },
    gone,
    hasGone: () => false,
  };
}

const secondsOf = (prefer: string | undefined): number | undefined =>
  preferredWait(caller(prefer, () => signal))?.seconds;

describe('Prefer: wait', () => {
  it.each([
    ['wait=1', 1],
    ['wait=5', 5],
    ['wait=60', 60],
    ['wait=05', 5],
    ['Wait=5', 5],
    [' wait = 5 ', 5],
    ['wait="5"', 5],
    ['respond-async, wait=5', 5],
    ['wait=5, respond-async', 5],
    ['return=minimal; wait=9, wait=5', 5],
    ['wait=5; foo="bar"', 5],
    ['lenient="a, wait=9, b", wait=5', 5],
    // The first of several counts.
    ['wait=5, wait=9', 5],
    ['handling=lenient,wait=7,,', 7],
  ])('%j waits that long', (prefer, seconds) => {
    expect(secondsOf(prefer)).toBe(seconds);
  });

  it.each([['wait=61'], ['wait=3600'], ['wait=999999999']])('%j waits for a minute', (prefer) => {
    expect(secondsOf(prefer)).toBe(60);
  });

  it.each([
    [undefined],
    [''],
    ['wait'],
    ['wait='],
    ['wait=0'],
    ['wait=-1'],
    ['wait=1.5'],
    ['wait=1e1'],
    ['wait=soon'],
    ['wait=5s'],
    ['wait=9999999999'],
    ['await=5'],
    ['wait-a-bit=5'],
    ['return=minimal; wait=5'],
    ['respond-async'],
  ])('%j is no preference, and nobody watches whether the caller goes', (prefer) => {
    const gone = (): AbortSignal => {
      throw new Error('Somebody watches.');
    };
    expect(preferredWait(caller(prefer, gone))).toBeUndefined();
  });

  it('ends when the caller has gone', () => {
    expect(preferredWait(caller('wait=5', () => signal))?.signal).toBe(signal);
  });
});
