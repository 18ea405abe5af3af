import { describe, expect, it } from '@jest/globals';

import { backOffMs } from '../../src/cli/back-off.js';
import { inTurn } from '../../src/cli/turns.js';
import type { Verdict } from '../../src/cli/verdict.js';

const [A, B] = [new URL('http://a'), new URL('http://user:secret@b/prefix/')] as const;
const again = (mayHaveLanded: boolean, afterMs = 0): Verdict<string> => ({
  type: 'again',
  mayHaveLanded,
  why: 'was silent.',
  afterMs,
});

/** @returns the outcome and the hosts in the order in which they were tried */
async function tried(urls: readonly URL[], answers: readonly Verdict<string>[], withinMs = 2000) {
  const hosts: string[] = [];
  const interruption = new AbortController();
  const bounds = {
    withinMs,
    tryMs: () => 1000,
    interrupted: interruption.signal,
    progress: () => undefined,
  };
  const outcome = await inTurn<string>(urls, bounds, (url) => {
    hosts.push(url.hostname);
    const verdict = answers[hosts.length - 1];
    if (verdict === undefined) interruption.abort();
    return Promise.resolve(verdict ?? again(false));
  });
  return { outcome, hosts };
}

describe('tries in turn', () => {
  it('go to the next address at once, and come back to the first', async () => {
    const { outcome, hosts } = await tried([A, B], [again(false), again(true), { type: 'done', value: 'x' }]);
    expect(outcome).toEqual({ type: 'done', value: 'x' });
    expect(hosts.slice(0, 2)).toEqual(['a', 'b']);
    expect(hosts).toHaveLength(3);
  });

  it('do not go again where another server answers, and end when there is no other', async () => {
    const foreign: Verdict<string> = { type: 'foreign', why: 'is a web page' };
    expect(await tried([A, B], [foreign, foreign])).toEqual({
      outcome: {
        type: 'gave-up',
        mayHaveLanded: false,
        why: 'http://a is a web page; http://b/prefix is a web page',
      },
      hosts: ['a', 'b'],
    });
  });

  it('remember that one may have landed, also when the last one surely has not', async () => {
    const { outcome } = await tried([A], [again(true), again(false, 60_000)]);
    expect(outcome).toEqual({ type: 'gave-up', mayHaveLanded: true, why: 'http://a was silent (2 tries)' });
    const refused: Verdict<string> = {
      type: 'refused',
      problem: { status: 404, code: 'unknown-engine', detail: '', notice: undefined },
    };
    expect((await tried([A], [again(true), refused])).outcome).toMatchObject({ mayHaveLanded: true });
  });

  it('keep away for as long as an answer asks for', async () => {
    const { hosts } = await tried([A, B], [again(false, 60_000), again(false), again(false), again(false)]);
    expect(hosts).toEqual(['a', 'b', 'b', 'b', 'b']);
  });

  it('end when interrupted', async () => {
    expect((await tried([A], [again(true)])).outcome).toEqual({
      type: 'gave-up',
      mayHaveLanded: true,
      why: 'interrupted',
    });
  });
});

it('backs off by any time up to a bound that doubles, and at least for what was asked', () => {
  expect([1, 2, 3, 4, 5, 6, 7].map((failures) => backOffMs(failures, 0, 1))).toEqual([
    100, 200, 400, 800, 1600, 2000, 2000,
  ]);
  expect(backOffMs(3, 0, 0.5)).toBe(200);
  expect(backOffMs(3, 0, 0)).toBe(0);
  expect(backOffMs(1, 1000, 0.5)).toBe(1000);
});
