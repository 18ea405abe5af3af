import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { type TestApp, startApp } from '../support/app.js';
import { appendsNothing, expectProblem } from '../support/problem.js';
import { RawConnection } from '../support/raw-http.js';

let service: TestApp;
let host: string;
beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
  ({ host } = new URL(service.api.url));
});
afterAll(() => service.close());

type Headers = Readonly<Record<string, string>>;

/** As a browser sends it: fetch would not let a test set these headers. */
async function send(method: string, path: string, headers: Headers) {
  const connection = await RawConnection.open(service.api.url);
  const reply = await connection.head(method, path, { host, ...headers }).reply();
  connection.close();
  return reply;
}

const FOREIGN: readonly (readonly [string, Headers])[] = [
  ['of another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }],
  ['of another site that hides its origin', { 'sec-fetch-site': 'cross-site', origin: 'null' }],
  ['of another port', { 'sec-fetch-site': 'same-site', origin: 'http://127.0.0.1:3000' }],
  ['of another port, without its origin', { 'sec-fetch-site': 'same-site' }],
  ['of another site, in a browser of before Sec-Fetch-Site', { origin: 'https://evil.example' }],
  ['of another port, in such a browser', { origin: 'http://127.0.0.1:1' }],
  ['without an origin, in such a browser', { origin: 'null' }],
];
const COMMANDS = [
  ['POST', '/lora/enable'],
  ['POST', '/lora/rollback'],
  ['POST', '/lora/deploy'],
  ['POST', '/adapters/v9/deploy'],
  ['PUT', '/fleets/canary'],
  ['PUT', '/engines/one'],
  ['DELETE', '/engines/one'],
] as const;

describe.each(FOREIGN)('a page %s', (_, headers) => {
  it.each(COMMANDS)('may not %s %s', async (method, path) => {
    await appendsNothing(service.database, async () => {
      const reply = await send(method, path, headers);
      expectProblem(reply, 'forbidden', path);
      expect(reply.body.notice).toBe('Nothing was changed.');
    });
  });

  it('may kill', async () => {
    const reply = await send('POST', '/lora/disable?fleet=default', headers);
    expect(reply).toMatchObject({ status: 200, body: { enabled: false } });
    expect((await send('POST', '/lora/enable', {})).status).toBe(200);
  });

  it('may read', async () => {
    expect((await send('GET', '/lora/status', headers)).status).toBe(200);
  });
});

it.each([
  ['a program', () => ({})],
  ['the own page', () => ({ 'sec-fetch-site': 'same-origin', origin: `http://${host}` })],
  ['a person who typed the address', () => ({ 'sec-fetch-site': 'none' })],
  ['the own page behind TLS', () => ({ host: 'lora.example:443', origin: 'https://lora.example' })],
  ['the own page on the usual port', () => ({ host: 'lora.example:80', origin: 'http://lora.example' })],
])('takes commands of %s', async (_, headers: () => Headers) => {
  const reply = await send('POST', '/lora/enable', headers());
  expect(reply).toMatchObject({ status: 200, body: { enabled: true } });
});
