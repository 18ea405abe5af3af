import { expect, it } from '@jest/globals';

import { Attempts } from '../../src/access/attempts.js';

const fail = (attempts: Attempts, address: string, count: number, now = 0): number | undefined => {
  let seconds: number | undefined;
  for (let n = 0; n < count; n++) seconds = attempts.fail(address, now);
  return seconds;
};

it('takes so many from an address in a minute, and says how long it has had enough', () => {
  const attempts = new Attempts();
  expect(fail(attempts, '192.0.2.1', 120)).toBeUndefined();
  expect(fail(attempts, '192.0.2.1', 1, 30_500)).toBe(30);
  expect(fail(attempts, '192.0.2.2', 120, 30_500)).toBeUndefined();
  expect(fail(attempts, '192.0.2.1', 1, 60_000)).toBeUndefined();
});

it('takes all addresses of a network of IPv6 for one', () => {
  const attempts = new Attempts();
  expect(fail(attempts, '2001:db8:0:7::1', 120)).toBeUndefined();
  expect(fail(attempts, '2001:db8::7:1:2:3:4', 1)).toBe(60);
  expect(fail(attempts, '2001:db8:0:8::1', 1)).toBeUndefined();
  expect(fail(attempts, '::1', 120)).toBeUndefined();
  expect(fail(attempts, '::ffff:192.0.2.1', 1)).toBeUndefined();
});

it('remembers no more networks than there is room for', () => {
  const attempts = new Attempts();
  for (let n = 0; n < 20_000; n++)
    attempts.fail(`2001:db8:${(n >> 8).toString(16)}:${(n & 255).toString(16)}::`, 0);
  expect(fail(attempts, '192.0.2.1', 500)).toBeUndefined();
});
