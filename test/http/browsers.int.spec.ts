import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { startApp, type TestApp } from '../support/app.js';
import type { Reply } from '../support/http.js';
import { RawConnection } from '../support/raw-http.js';
import { EventStream } from '../support/sse.js';

const FRIEND = 'https://ops.example';

let service: TestApp;
let friendly: TestApp;
beforeAll(async () => {
  service = await startApp();
  friendly = await startApp({ CORS_ORIGINS: `${FRIEND}, http://localhost:3000` });
});
afterAll(async () => {
  await service.close();
  await friendly.close();
});

/** As a browser sends it: fetch would not let a test set these headers. */
async function send(
  { api }: TestApp,
  method: string,
  path: string,
  headers: Record<string, string>,
): Promise<Reply> {
  const connection = await RawConnection.open(api.url);
  const reply = await connection.head(method, path, headers).reply();
  connection.close();
  return reply;
}

const preflight = (app: TestApp, origin: string) =>
  send(app, 'OPTIONS', '/lora/enable', {
    origin,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization, idempotency-key',
  });

describe('every answer', () => {
  it.each([
    '/lora/status',
    '/lora/history',
    '/health',
    '/metrics',
    '/nowhere',
    '/lora/status?fleet=none',
    '/openapi.json',
  ])('tells a browser to take it for data: %s', async (path) => {
    const { headers } = await fetch(service.api.url + path);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'");
    expect(headers.get('x-request-id')).toMatch(/\S/);
  });

  it('a stream too', async () => {
    const stream = await EventStream.open(service.api.url);
    expect(stream.response.headers).toMatchObject({ 'x-content-type-options': 'nosniff' });
    stream.close();
  });
});

it('the page for people may load its own and nothing else', async () => {
  for (const path of ['/docs', '/docs/swagger-ui-init.js']) {
    const { headers } = await fetch(service.api.url + path);
    expect(headers.get('content-security-policy')).toContain("default-src 'none';script-src 'self';");
    expect(headers.get('x-frame-options')).toBe('SAMEORIGIN');
    expect(headers.get('cross-origin-opener-policy')).toBe('same-origin');
    expect(headers.has('strict-transport-security')).toBe(false);
  }
  const page = await (await fetch(`${service.api.url}/docs`)).text();
  for (const [, attributes = '', text = ''] of page.matchAll(/<script([^>]*)>(.*?)<\/script>/gs)) {
    expect({ attributes, text: text.trim() }).toEqual({
      attributes: expect.stringMatching(/ src=['"]\.\/docs\//) as unknown,
      text: '',
    });
  }
});

describe('pages of other origins', () => {
  it('are told nothing as long as nobody names them', async () => {
    for (const reply of [
      await preflight(service, FRIEND),
      await send(service, 'GET', '/lora/status', { origin: FRIEND }),
    ])
      expect([...reply.headers.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([]);
  });

  it('may call when they are named', async () => {
    const { status, headers } = await preflight(friendly, FRIEND);
    expect(status).toBe(204);
    expect(headers.get('access-control-allow-origin')).toBe(FRIEND);
    expect(headers.get('access-control-allow-headers')).toContain('Idempotency-Key');
    expect(headers.has('access-control-allow-credentials')).toBe(false);
    const from = { origin: FRIEND, 'sec-fetch-site': 'cross-site' };
    const enabled = await send(friendly, 'POST', '/lora/enable', from);
    expect(enabled.status).toBe(200);
    expect(enabled.headers.get('access-control-allow-origin')).toBe(FRIEND);
    expect(enabled.headers.get('access-control-expose-headers')).toContain('Lora-Receipt');
    expect(enabled.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('may not when others are', async () => {
    for (const origin of ['https://evil.example', `${FRIEND}.evil.example`, 'null', 'http://ops.example']) {
      expect((await preflight(friendly, origin)).headers.has('access-control-allow-origin')).toBe(false);
      const from = { origin, 'sec-fetch-site': 'cross-site' };
      expect((await send(friendly, 'POST', '/lora/enable', from)).status).toBe(403);
    }
  });
});
