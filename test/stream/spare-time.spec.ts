import { describe, expect, it } from '@jest/globals';

import { SpareTime } from '../../src/stream/spare-time.js';

/** Takes the loop for so long. */
function busy(milliseconds: number): void {
  for (const end = performance.now() + milliseconds; performance.now() < end;);
}

const turn = (): Promise<void> => new Promise((next) => setImmediate(next));

describe('spare time', () => {
  it('does what is given to it in turn, to its end', async () => {
    const spare = new SpareTime();
    const done: string[] = [];
    for (const name of ['a', 'b']) {
      let left = 3;
      spare.do(() => done.push(name) > 0 && --left > 0);
    }
    expect(spare.isIdle).toBe(false);
    while (!spare.isIdle) await turn();
    expect(done).toStrictEqual(['a', 'b', 'a', 'b', 'a', 'b']);
  });

  it('leaves the loop to others after some milliseconds, counting what a part has set off', async () => {
    const spare = new SpareTime();
    let turns = 0;
    const at: number[] = [];
    spare.do(() => {
      void Promise.resolve().then(() => {
        busy(1);
        at.push(turns);
      });
      return at.length < 30;
    });
    while (!spare.isIdle) {
      await turn();
      turns++;
    }
    for (const each of at) expect(at.filter((other) => other === each).length).toBeLessThanOrEqual(3);
  });

  it('waits while new connections come, but not for ever', async () => {
    const spare = new SpareTime();
    const began = performance.now();
    const at: number[] = [];
    let left = 5;
    spare.do(() => {
      at.push(performance.now());
      busy(3);
      return --left > 0;
    });
    while (!spare.isIdle) {
      spare.noteArrival();
      await turn();
    }
    for (const [nth, time] of at.slice(1).entries()) {
      const waited = time - (at[nth] ?? 0);
      // They have been coming for too long where the machine is as slow as that.
      expect(waited).toBeGreaterThanOrEqual(time - began < 500 ? 15 : 4);
    }
  });
});
