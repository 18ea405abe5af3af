import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { sendFile } from '../../src/history/send-file.js';

let server: Server;
let sent: Promise<void>;
let given: number;
let ended: boolean;
let text: () => AsyncGenerator<string>;

/** As long as somebody takes it; what it holds is given back when it ends. */
async function* endless(): AsyncGenerator<string> {
  try {
    for (;;) {
      given++;
      yield await Promise.resolve('x'.repeat(65_536));
    }
  } finally {
    ended = true;
  }
}

async function* short(): AsyncGenerator<string> {
  yield await Promise.resolve('first\n');
  yield await Promise.resolve('last\n');
}

async function* failing(): AsyncGenerator<string> {
  yield await Promise.resolve('first\n');
  throw new Error('the database has gone');
}

beforeEach(async () => {
  given = 0;
  ended = false;
  server = createServer((_, response) => {
    sent = sendFile(response, { 'Content-Type': 'text/plain' }, text(), 300);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

async function begin(): Promise<IncomingMessage> {
  const { port } = server.address() as AddressInfo;
  const request = get({ port, host: '127.0.0.1', agent: false });
  request.on('error', () => undefined);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return response.on('error', () => undefined);
}

/** Whether in good order or broken off. */
const closed = (response: IncomingMessage): Promise<void> =>
  new Promise((resolve) => response.once('close', resolve));

it('a file arrives whole', async () => {
  text = short;
  const response = await begin();
  expect(response.headers['content-type']).toBe('text/plain');
  expect((await response.toArray()).join('')).toBe('first\nlast\n');
  await sent;
});

it('a reader who reads nothing is cut off, and what the file is read from is given back', async () => {
  text = endless;
  const response = await begin();
  response.pause();
  await sent;
  expect(ended).toBe(true);
  const gone = closed(response);
  response.resume();
  await gone;
  expect(response.complete).toBe(false);
  // No more than fits between the two has been read for it.
  expect(given).toBeLessThan(1000);
});

it('a reader who goes is noticed', async () => {
  text = endless;
  (await begin()).destroy();
  await sent;
  expect(ended).toBe(true);
});

it('a file that cannot be read to its end is cut', async () => {
  text = failing;
  const response = await begin();
  const gone = closed(response);
  response.resume();
  await gone;
  await sent;
  expect(response.complete).toBe(false);
});
