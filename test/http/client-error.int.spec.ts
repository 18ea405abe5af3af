import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect } from 'node:net';

import { startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/http.js';
import { headOf } from '../support/problem.js';

let service: TestApp;
beforeAll(async () => {
  service = await startApp();
});
afterAll(() => service.close());

/** Sends the bytes, perhaps ends its side, and returns all that comes until the connection ends. */
async function exchange(bytes: string, end = false): Promise<string> {
  const { hostname, port } = new URL(service.api.url);
  const socket = connect(Number(port), hostname);
  let received = '';
  socket.setEncoding('utf8').on('data', (text) => (received += String(text)));
  await once(socket, 'connect');
  socket.write(bytes);
  if (end) socket.end();
  socket.on('error', () => undefined);
  await once(socket, 'close');
  return received;
}

const POST = 'POST /lora/disable HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';

describe('a request that cannot be read', () => {
  it.each([
    ['no HTTP', 'hello\r\n\r\n'],
    [
      'a head that is too large',
      `GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: ${'x'.repeat(20_000)}\r\n\r\n`,
    ],
    ['two lengths', `${POST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`],
  ])('is a problem document: %s', async (_, bytes) => {
    const before = await headOf(service.database);
    const answer = await exchange(bytes);
    expect(answer).toMatch(/^HTTP\/1\.1 400 .*\r\n(.*\r\n)*Content-Type: application\/problem\+json\r\n/);
    expect(JSON.parse(answer.slice(answer.indexOf('{')))).toMatchObject({
      status: 400,
      code: 'validation-failed',
      detail: expect.stringMatching(/^The request cannot be read\. /) as unknown,
    });
    expect(await headOf(service.database)).toBe(before);
  });

  it.each([
    ['half of its body', `${POST}Content-Length: 100\r\n\r\n{"rea`, true],
    ['a broken chunk', `${POST}Transfer-Encoding: chunked\r\n\r\n7\r\n{"reaso\r\nZZ\r\n`, false],
  ])('is not denied with a 400 when it is a kill that is carried out: %s', async (_, bytes, end) => {
    const before = await headOf(service.database);
    expect(await exchange(bytes, end)).not.toContain(' 400 ');
    await eventually(async () => (await headOf(service.database)) === before + 1);
  });

  it('is not refused for an expectation that nobody knows', async () => {
    const answer = await exchange(
      `${POST}Expect: miracles\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });
});
