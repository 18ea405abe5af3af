import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { type TestApp, startApp } from '../support/app.js';
import { appendsNothing, expectProblem } from '../support/problem.js';
import { RawConnection } from '../support/raw-http.js';

let service: TestApp;
beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
});
afterAll(() => service.close());

describe('an address that is none', () => {
  it.each([
    ['GET', '/'],
    ['GET', '/lora'],
    ['POST', '/lora/kill'],
    ['POST', '/lora/disable/now'],
    ['GET', '/fleets/default/status'],
    ['POST', '/adapters/deploy'],
    ['GET', '/lora//status'],
    ['GET', '/.env'],
    ['DELETE', '/nothing?fleet=x'],
  ])('%s %s is 404', async (method, path) => {
    const reply = await service.api.send(method, path);
    expectProblem(reply, 'not-found', new URL(path, 'http://x').pathname);
  });
});

describe('a method that the address does not take', () => {
  it.each([
    ['GET', '/lora/disable', 'POST'],
    ['PUT', '/lora/disable', 'POST'],
    ['GET', '/lora/enable', 'POST'],
    ['DELETE', '/lora/rollback', 'POST'],
    ['GET', '/lora/deploy', 'POST'],
    ['GET', '/adapters/v1/deploy', 'POST'],
    ['PATCH', '/fleets/default', 'PUT'],
    ['GET', '/fleets/default', 'PUT'],
    ['POST', '/fleets', 'GET, HEAD'],
    ['POST', '/lora/status', 'GET, HEAD'],
    ['DELETE', '/lora/history', 'GET, HEAD'],
    ['POST', '/health', 'GET, HEAD'],
    ['POST', '/health/live', 'GET, HEAD'],
    ['PUT', '/health/ready', 'GET, HEAD'],
    ['POST', '/openapi.json', 'GET, HEAD'],
    ['POST', '/docs', 'GET, HEAD'],
  ])('%s %s is 405 and names %s', async (method, path, allow) => {
    await appendsNothing(service.database, async () => {
      const reply = await service.api.send(method, path);
      expectProblem(reply, 'method-not-allowed', path);
      expect(reply.headers.get('allow')).toBe(allow);
    });
  });

  it('HEAD of a command is 405 and kills nothing', async () => {
    await appendsNothing(service.database, async () => {
      const reply = await service.api.send('HEAD', '/lora/disable');
      expect(reply.status).toBe(405);
      expect(reply.headers.get('allow')).toBe('POST');
    });
  });

  it('OPTIONS of a command kills nothing', async () => {
    await appendsNothing(service.database, async () => {
      const reply = await fetch(`${service.api.url}/lora/disable`, { method: 'OPTIONS' });
      expect(reply.status).toBeLessThan(500);
      expect(reply.headers.get('allow')).toContain('POST');
    });
  });
});

it.each([
  ['POST', '/adapters/%ff/deploy'],
  ['POST', '/adapters/%/deploy'],
  ['POST', '/adapters/%C3%28/deploy'],
  ['PUT', '/fleets/%ff'],
  ['GET', '/fleets/%ff'],
  ['GET', '/adapters/%ff/deploy'],
])('%s %s cannot be decoded: 400', async (method, path) => {
  await appendsNothing(service.database, async () => {
    const connection = await RawConnection.open(service.api.url);
    expectProblem(await connection.head(method, path).reply(), 'validation-failed', path);
    connection.close();
  });
});

it.each([
  'http://%/lora/status',
  'http://a:b/lora/status',
  'http://x:99999/lora/status',
  '//lora/status',
  '?',
  '*',
])('the target %s is answered with a problem of the caller, not of the service', async (target) => {
  const connection = await RawConnection.open(service.api.url);
  const reply = await connection.head('GET', target).reply();
  expect(reply.status).toBeLessThan(500);
  connection.close();
  expect((await service.api.get('/lora/status')).status).toBe(200);
});

it.each([
  '/lora/status',
  '/fleets',
  '/lora/history',
  '/health/live',
  '/health/ready',
  '/health',
  '/openapi.json',
])('HEAD %s answers as GET without a body', async (path) => {
  const connection = await RawConnection.open(service.api.url);
  const head = await connection.head('HEAD', path).reply(false);
  const live = await connection.head('GET', '/health/live').reply();
  expect(live.body).toStrictEqual({ status: 'live' });
  expect(connection.unread).toBe(0);
  connection.close();

  const get = await service.api.get(path);
  expect(head.status).toBe(200);
  for (const name of ['content-type', 'content-length', 'etag', 'cache-control']) {
    expect([name, head.headers.get(name)]).toStrictEqual([name, get.headers.get(name)]);
  }
});

it('carries a request id, the one sent or one of its own, also on a refusal', async () => {
  const sent = await service.api.get('/nowhere', { 'x-request-id': 'deploy-42' });
  expect(sent.headers.get('x-request-id')).toBe('deploy-42');
  for (const id of ['', 'a b', 'x'.repeat(129), '<script>']) {
    const own = await service.api.get('/nowhere', { 'x-request-id': id });
    expect(own.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  }
});

it('tells nobody what it is built with', async () => {
  const reply = await service.api.get('/lora/status');
  expect(reply.headers.has('x-powered-by')).toBe(false);
  expect(reply.headers.has('server')).toBe(false);
});
