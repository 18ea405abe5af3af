import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { connect, type Socket } from 'node:net';

import { startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/http.js';
import { expectProblem, headOf } from '../support/problem.js';
import { RawConnection } from '../support/raw-http.js';

let service: TestApp;
let server: Server;
beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
  server = service.app.getHttpServer();
});
afterAll(() => service.close());

async function open(): Promise<Socket> {
  const { hostname, port } = new URL(service.api.url);
  const socket = connect(Number(port), hostname).on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** All that comes until the other side closes. */
async function untilClosed(socket: Socket): Promise<string> {
  let received = '';
  socket.setEncoding('utf8').on('data', (text) => (received += String(text)));
  await once(socket, 'close');
  return received;
}

it('what a connection may take is bounded', () => {
  const { headersTimeout, requestTimeout, keepAliveTimeout, maxHeadersCount } = server;
  expect({ headersTimeout, requestTimeout, keepAliveTimeout, maxHeadersCount }).toEqual({
    headersTimeout: 10_000,
    requestTimeout: 20_000,
    keepAliveTimeout: 15_000,
    maxHeadersCount: 0,
  });
});

describe('with the times cut short', () => {
  const times = { headersTimeout: 300, requestTimeout: 600, keepAliveTimeout: 300 };
  let before: object;
  beforeAll(() => {
    const { headersTimeout, requestTimeout, keepAliveTimeout } = server;
    before = { headersTimeout, requestTimeout, keepAliveTimeout };
    Object.assign(server, times);
  });
  afterAll(() => {
    Object.assign(server, before);
  });

  it.each([
    ['that trickles', 'GET /lora/status HTTP/1.1\r\nHost: x\r\nX-Slow: '],
    ['that never begins', ''],
  ])('a head %s is given up', async (_, bytes) => {
    const socket = await open();
    const trickle = setInterval(() => bytes !== '' && socket.write('a'), 50);
    socket.write(bytes);
    const answer = await untilClosed(socket);
    clearInterval(trickle);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('It did not arrive in time.');
  });

  it('a kill whose body trickles is carried out, and its connection is given up', async () => {
    const head = await headOf(service.database);
    const socket = await open();
    socket.write(
      'POST /lora/disable HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{',
    );
    const trickle = setInterval(() => socket.write(' '), 50);
    const answer = await untilClosed(socket);
    clearInterval(trickle);
    expect(answer).not.toContain(' 400 ');
    await eventually(async () => (await headOf(service.database)) === head + 1);
  });

  it('a connection that asks nothing more is closed', async () => {
    const socket = await open();
    socket.write('GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 200 /);
  });
});

it('drops none of many headers', async () => {
  const connection = await RawConnection.open(service.api.url);
  const many = Object.fromEntries(Array.from({ length: 2500 }, (_, n) => [n.toString(36), '']));
  const reply = await connection.head('POST', '/lora/enable', { ...many, 'if-match': '999' }).reply();
  connection.close();
  expectProblem(reply, 'generation-mismatch', '/lora/enable');
});
