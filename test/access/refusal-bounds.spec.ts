import { expect, it } from '@jest/globals';

import { RefusalBounds } from '../../src/access/refusal-bounds.js';

/** Puts `count` refusals of a caller to it. @returns how many go on record at once */
function put(
  bounds: RefusalBounds<string>,
  caller: string,
  count: number,
  { isStranger = false, hasRoom = true } = {},
) {
  let admitted = 0;
  for (let n = 1; n <= count; n++)
    if (bounds.admit(caller, isStranger, `${caller} ${n}`, hasRoom)) admitted++;
  return admitted;
}

it('keeps so many of a caller, and of the rest the last one with the count of the others', () => {
  const bounds = new RefusalBounds<string>();
  expect(put(bounds, 'token:ci', 60)).toBe(60);
  expect(put(bounds, 'token:ana', 1)).toBe(1);
  expect(bounds.end()).toEqual([]);
  expect(put(bounds, 'token:ci', 100)).toBe(60);
  expect(put(bounds, 'token:ana', 61)).toBe(60);
  expect(bounds.end()).toEqual([
    { refusal: 'token:ci 100', leftOut: 39 },
    { refusal: 'token:ana 61', leftOut: 0 },
  ]);
  expect(put(bounds, 'token:ci', 100)).toBe(60);
});

it('keeps no more of many addresses together, and accounts for every one of them', () => {
  const bounds = new RefusalBounds<string>();
  let atOnce = 0;
  for (let n = 0; n < 10_000; n++)
    atOnce += put(bounds, `2001:db8::${n.toString(16)}`, 3, { isStranger: true });
  expect(atOnce).toBe(240);
  const rest = bounds.end();
  expect(rest).toHaveLength(1);
  expect(atOnce + rest.length + (rest[0]?.leftOut ?? 0)).toBe(30_000);
});

it('lets strangers take nothing from callers that are known', () => {
  const bounds = new RefusalBounds<string>();
  for (let n = 0; n < 300; n++) put(bounds, `2001:db8::${n.toString(16)}`, 1, { isStranger: true });
  expect(put(bounds, 'token:ci', 1)).toBe(1);
});

it('remembers no address of strangers while there is no room', () => {
  const bounds = new RefusalBounds<string>();
  for (let n = 0; n < 1000; n++)
    put(bounds, `2001:db8::${n.toString(16)}`, 1, { isStranger: true, hasRoom: false });
  expect(bounds.end()).toEqual([{ refusal: '2001:db8::3e7 1', leftOut: 999 }]);
});

it('counts what there is no room for', () => {
  const bounds = new RefusalBounds<string>();
  expect(put(bounds, 'token:ci', 5, { hasRoom: false })).toBe(0);
  expect(bounds.end()).toEqual([{ refusal: 'token:ci 5', leftOut: 4 }]);
});
