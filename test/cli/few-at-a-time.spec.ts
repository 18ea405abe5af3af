import { expect, it } from '@jest/globals';
import { setImmediate as turn } from 'node:timers/promises';

import { fewAtATime } from '../../src/cli/few-at-a-time.js';

it('does something once for each of thousands, for eight of them at a time', async () => {
  const all = Array.from({ length: 2000 }, (_, index) => index);
  const done: number[] = [];
  let [under, most] = [0, 0];
  const results = await fewAtATime(all, async (each) => {
    under += 1;
    most = Math.max(most, under);
    if (each % 7 === 0) await turn();
    done.push(each);
    under -= 1;
    return -each;
  });
  expect(most).toBe(8);
  expect(done.sort((one, other) => one - other)).toEqual(all);
  expect(results).toEqual(all.map((each) => -each));
});
