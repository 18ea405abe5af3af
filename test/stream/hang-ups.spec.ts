import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

import { afterEach, describe, expect, it } from '@jest/globals';

import { HangUps } from '../../src/stream/hang-ups.js';
import { SpareTime } from '../../src/stream/spare-time.js';
import { eventually } from '../support/http.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** So many streams. @returns both ends of each, in the order in which they began */
async function open(count: number): Promise<{ far: Socket; near: Socket }[]> {
  const hangUps = new HangUps(new SpareTime());
  const near: Socket[] = [];
  const server = createServer((request, response) => {
    response.flushHeaders();
    setImmediate(() => {
      hangUps.watch(request.socket);
      near.push(request.socket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const both: { far: Socket; near: Socket }[] = [];
  for (let nth = 0; nth < count; nth++) {
    const far = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
    ends.push(() => far.destroy());
    far.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    far.resume();
    const served = await eventually(() => near[nth]);
    both.push({ far, near: served });
  }
  return both;
}

describe('of many streams', () => {
  it('those that hang up together are all noticed, whether they say good-bye or not', async () => {
    const all = await open(120);
    for (const [nth, { far }] of all.entries()) if (nth % 2 === 0) far.destroy();
    await eventually(() => all.every(({ near }, nth) => near.destroyed === (nth % 2 === 0)));
    for (const { far } of all) far.resetAndDestroy();
    await eventually(() => all.every(({ near }) => near.destroyed));
  });

  it('one that hangs up alone is noticed, whichever it is', async () => {
    const all = await open(70);
    for (const { far, near } of [all[0], all[40], all[69]] as typeof all) {
      far.destroy();
      await eventually(() => near.destroyed);
    }
    expect(all.filter(({ near }) => near.destroyed)).toHaveLength(3);
  });
});
