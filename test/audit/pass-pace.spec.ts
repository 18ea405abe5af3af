import { expect, it } from '@jest/globals';

import { PassPace, restAfter } from '../../src/audit/pass-pace.js';

const SECOND = 1000;

/** A pass that begins at a time and works for so long in steps of a second, resting after each unless it is hurried. */
function pass(pace: PassPace, from: number, worked: number, isHurried: boolean): number {
  pace.begin(from);
  let now = from;
  for (let second = 0; second < worked; second += SECOND) {
    now += SECOND;
    if (isHurried) continue;
    pace.noteRest(restAfter(SECOND));
    now += restAfter(SECOND);
  }
  pace.end(now);
  return now;
}

it('checks at each interval, or at once for those who ask after a pass that has rested', () => {
  const pace = new PassPace(60 * SECOND);
  expect(pace.soonest).toBe(-Infinity);
  const end = pass(pace, 0, 10 * SECOND, false);
  expect(end).toBe(40 * SECOND);
  expect([pace.soonest, pace.due]).toStrictEqual([40 * SECOND, 60 * SECOND]);
});

it('rests after a pass that was hurried: always asked, it works no more than a quarter of the time', () => {
  const pace = new PassPace(60 * SECOND);
  let worked = 0;
  for (let passes = 0; passes < 100; passes++) {
    pass(pace, Math.max(0, pace.soonest), 10 * SECOND, true);
    worked += 10 * SECOND;
  }
  expect(worked / pace.soonest).toBe(1 / 4);
});

it('counts what a pass has worked, also one that was hurried on its way', () => {
  const pace = new PassPace(60 * SECOND);
  pace.begin(0);
  pace.noteRest(3 * SECOND);
  pace.end(6 * SECOND);
  expect(pace.soonest).toBe(12 * SECOND);
});

it('knows when the log is checked more slowly than it should be, and when no longer', () => {
  const pace = new PassPace(60 * SECOND);
  pace.begin(0);
  expect(pace.isSlow(60 * SECOND)).toBe(false);
  expect(pace.isSlow(61 * SECOND)).toBe(true);
  pass(pace, 0, 16 * SECOND, false);
  pace.begin(64 * SECOND);
  expect(pace.isSlow(65 * SECOND)).toBe(true);
  // Hurried it is over sooner, and is no faster on the whole.
  pass(pace, 64 * SECOND, 16 * SECOND, true);
  expect([pace.isSlow(80 * SECOND), pace.due]).toStrictEqual([true, 128 * SECOND]);
  pass(pace, 128 * SECOND, 15 * SECOND, false);
  expect(pace.isSlow(188 * SECOND)).toBe(false);
});
