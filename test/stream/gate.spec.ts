import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

import { afterEach, describe, expect, it } from '@jest/globals';

import { Gate } from '../../src/stream/gate.js';
import { SpareTime } from '../../src/stream/spare-time.js';
import { eventually } from '../support/http.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A server whose loop is busy: of those who wait one comes in every third of a second. */
async function start() {
  const spare = new SpareTime();
  const gate = new Gate(spare);
  let over = false;
  for (let nth = 0; nth < 20; nth++) {
    spare.do(() => {
      // More than the loop has to spare in a turn.
      for (const end = performance.now() + 3; performance.now() < end;);
      if (!over) spare.noteArrival();
      return !over;
    });
  }
  const served: string[] = [];
  const server = createServer((request, response) => {
    served.push(`${request.method} ${request.url}`);
    request.resume().once('end', () => response.end());
  });
  gate.guard(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const calm = (): void => void (over = true);
  ends.push(() => {
    calm();
    gate.close();
    server.closeAllConnections();
    server.close();
  });
  const open = async (text: string): Promise<Socket> => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.on('error', () => undefined).resume();
    ends.push(() => socket.destroy());
    await once(socket, 'connect');
    socket.write(text);
    return socket;
  };
  const ask = (what: string, body = ''): Promise<Socket> =>
    open(`${what} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  return { gate, server, served, calm, open, ask };
}

const streams = Array.from({ length: 8 }, (_, nth) => `GET /lora/stream?nth=${nth}`);

describe('while the loop is busy with streams', () => {
  it('a kill comes in before the streams that came before it, and those oldest first', async () => {
    const { ask, served, calm } = await start();
    for (const stream of streams) await ask(stream);
    await ask('POST /lora/disable', '{"reason":"now"}');
    await eventually(() => served.includes('POST /lora/disable'));
    expect(served.filter((each) => each.startsWith('GET')).length).toBeLessThan(streams.length);
    calm();
    await eventually(() => served.length === streams.length + 1);
    expect(served.filter((each) => each.startsWith('GET'))).toStrictEqual(streams);
  });

  it('a kill comes in whose bytes come one by one, and one that was sent after a silence', async () => {
    const { ask, open, served } = await start();
    const silent = await open('');
    for (const stream of streams) await ask(stream);
    const slow = await open('P');
    for (const byte of 'OST /lora/disable?slow HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n') {
      slow.write(byte);
      await new Promise(setImmediate);
    }
    silent.write('POST /lora/disable?silent HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n');
    await eventually(() => served.filter((each) => each.startsWith('POST')).length === 2);
    expect(served.filter((each) => each.startsWith('GET')).length).toBeLessThan(streams.length);
  });

  it('who hangs up while waiting is forgotten, and who still waits at the end is hung up', async () => {
    const { ask, open, served, gate, server } = await start();
    const connections = (): Promise<number> =>
      new Promise((resolve) => {
        server.getConnections((_, count) => {
          resolve(count);
        });
      });
    const silent = await Promise.all([open(''), open('')]);
    const waiting = await Promise.all(streams.map((stream) => ask(stream)));
    for (const socket of silent) socket.destroy();
    waiting[7]?.resetAndDestroy();
    await eventually(async () => (await connections()) <= streams.length - 1);
    gate.close();
    await eventually(async () => (await connections()) === served.length);
    await eventually(() => waiting.slice(4).every((socket) => socket.closed));
  });
});

it('in quiet everybody comes in at once', async () => {
  const { ask, served, calm } = await start();
  calm();
  await ask('GET /lora/stream');
  await eventually(() => served.length === 1);
});
