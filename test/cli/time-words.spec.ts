import { describe, expect, it } from '@jest/globals';

import { absolute, age, at, duration, since } from '../../src/cli/time-words.js';

const NOW = new Date('2026-11-25T02:17:07.900Z');

describe('times in words', () => {
  it.each([
    ['2026-11-25T02:17:07.123456Z', '0 s'],
    ['2026-11-25T02:17:00.000000Z', '7 s'],
    ['2026-11-25T02:16:08.000000Z', '59 s'],
    ['2026-11-25T02:16:07.000000Z', '1 min'],
    ['2026-11-25T02:14:07.000000Z', '3 min'],
    ['2026-11-25T01:17:08.000000Z', '59 min'],
    ['2026-11-25T01:17:07.000000Z', '1 h'],
    ['2026-11-23T02:17:08.000000Z', '47 h'],
    ['2026-11-23T02:17:07.000000Z', '2 d'],
    // A clock that is ahead.
    ['2026-11-25T02:17:30.000000Z', '0 s'],
  ])('%s is %s old', (time, words) => {
    expect(age(time, NOW)).toBe(words);
  });

  it.each([
    [0, '0 s'],
    [0.084, '0.084 s'],
    [4.237, '4.2 s'],
    [59.4, '59 s'],
    [60.9, '1 min'],
    [7300, '2 h'],
  ])('what lasted %d s lasted %s', (seconds, words) => {
    expect(duration(seconds)).toBe(words);
  });

  it('stand beside the absolute ones, with the day where it is another one', () => {
    expect(since('2026-11-25T02:14:07.1Z', NOW)).toBe('02:14 (3 min)');
    expect(since('2026-11-24T23:50:00Z', NOW)).toBe('2026-11-24 23:50 (2 h)');
    expect(at('2026-11-25T02:14:07.1Z', NOW)).toBe('02:14:07Z (3 min ago)');
    expect(absolute('2026-11-25T02:14:07.123456Z')).toBe('2026-11-25 02:14:07Z');
  });
});
