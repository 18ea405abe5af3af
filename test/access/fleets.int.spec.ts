import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { bearer, newToken, TestAccessFile } from '../support/access.js';
import { startApp, type TestApp } from '../support/app.js';
import type { Json, Reply } from '../support/http.js';
import { appendsNothing, expectProblem } from '../support/problem.js';

const tokens = {
  admin: newToken(),
  mine: newToken(),
  audit: newToken(),
  breaker: newToken(),
  none: newToken(),
};
const REPORT = { observed_generation: null, log_id: null, observed_adapters: [], state: 'pending' };

let file: TestAccessFile;
let service: TestApp;

beforeAll(async () => {
  file = await TestAccessFile.make([
    { name: 'root', role: 'admin', token: tokens.admin },
    { name: 'ana', role: 'operator', fleets: ['blue', 'later'], token: tokens.mine },
    { name: 'aud', role: 'auditor', fleets: ['blue'], token: tokens.audit },
    { name: 'robot', role: 'breaker', fleets: ['blue', 'green'], token: tokens.breaker },
    { name: 'early', role: 'operator', fleets: ['never-made'], token: tokens.none },
  ]);
  service = await startApp({ ACCESS_FILE: file.path });
  for (const fleet of ['blue', 'green']) {
    await as('admin', 'PUT', `/fleets/${fleet}`);
    await as('admin', 'PUT', `/engines/of-${fleet}?fleet=${fleet}`, REPORT);
  }
});
afterAll(async () => {
  await service.close();
  await file.remove();
});

function as(who: keyof typeof tokens, method: string, path: string, body?: object): Promise<Reply> {
  return service.api.send(method, path, { headers: bearer(tokens[who]), body });
}

const fleetsIn = (reply: Reply, list: string): unknown =>
  (reply.body[list] as unknown as Json[]).map(({ fleet }) => fleet);

describe('somebody with one fleet', () => {
  it.each([
    ['GET', '/lora/status?fleet=green'],
    ['GET', '/lora/status'],
    ['GET', '/lora/status?fleet=green&at=2020-01-01T00:00:00Z'],
    ['GET', '/lora/stream?fleet=green'],
    ['GET', '/lora/convergence?fleet=green'],
    ['GET', '/lora/history?fleet=green'],
    ['GET', '/lora/history/summary?fleet=green'],
    ['GET', '/lora/history/1'],
    ['GET', '/engines?fleet=green'],
    ['GET', '/engines/of-green'],
    ['DELETE', '/engines/of-green'],
    ['POST', '/lora/disable'],
    ['POST', '/lora/disable?fleet=green'],
    ['POST', '/lora/disable?fleet=blue&fleet=green'],
    ['POST', '/lora/enable?fleet=green'],
    ['POST', '/lora/rollback'],
    ['POST', '/lora/deploy?fleet=green'],
    ['POST', '/adapters/v1/deploy?fleet=green'],
    ['PUT', '/fleets/another'],
  ])('%s %s: 403', async (method, path) => {
    await appendsNothing(service.database, async () => {
      expectProblem(await as('mine', method, path), 'forbidden', path.replace(/\?.*/, ''));
    });
  });

  it('acts on it', async () => {
    expect(await as('mine', 'POST', '/lora/disable?fleet=blue')).toMatchObject({
      status: 200,
      body: { fleet: 'blue', enabled: false, last_actor: 'token:ana' },
    });
    expect((await as('mine', 'POST', '/lora/enable?fleet=blue')).status).toBe(200);
    expect((await as('mine', 'GET', '/lora/status?fleet=blue')).status).toBe(200);
    expect((await as('mine', 'GET', '/engines/of-blue')).status).toBe(200);
    expect((await as('mine', 'GET', '/lora/history/2')).status).toBe(200);
  });

  it('sees it alone in every list, which says so', async () => {
    const now = new Date(Date.now() + 60_000).toISOString();
    for (const path of ['/fleets', `/fleets?at=${now}`]) {
      const fleets = await as('mine', 'GET', path);
      expect([path, fleetsIn(fleets, 'fleets'), fleets.body.scope]).toEqual([path, ['blue'], 'partial']);
    }
    const engines = await as('mine', 'GET', '/engines');
    expect(fleetsIn(engines, 'engines')).toEqual(['blue']);
    const history = await as('mine', 'GET', '/lora/history');
    expect(new Set(fleetsIn(history, 'events') as string[])).toEqual(new Set(['blue']));
    expect(history.body.scope).toBe('partial');
    const { body: summary } = await as('mine', 'GET', '/lora/history/summary');
    expect(summary).toMatchObject({ scope: 'partial', by_fleet: { blue: expect.any(Number) as unknown } });
    expect(Object.keys(summary.by_fleet as unknown as object)).toEqual(['blue']);
    expect(Object.keys(summary.disabled_seconds as unknown as object)).not.toContain('green');
  });

  it('takes away its events alone', async () => {
    const response = await fetch(`${service.api.url}/lora/history/export`, {
      headers: bearer(tokens.audit),
    });
    const records = (await response.text())
      .trimEnd()
      .split('\n')
      .map((each) => JSON.parse(each) as Json);
    expect(records[0]).toMatchObject({ record: 'log', fleet: null, fleets: ['blue'] });
    const events = records.filter(({ record }) => String(record) === 'event');
    expect(events.length).toBeGreaterThan(0);
    for (const each of events) expect(each).toMatchObject({ columns: { fleet: 'blue' } });
  });

  it('asks nothing of the whole service', async () => {
    expectProblem(await as('audit', 'GET', '/audit/access'), 'forbidden', '/audit/access');
  });
});

describe('fleet=*', () => {
  it('is those of the caller, in one commit, and the answer says that it is a part', async () => {
    const { body: before } = await as('admin', 'GET', '/lora/status');
    const reply = await as('breaker', 'POST', '/lora/disable?fleet=*');
    expect(reply).toMatchObject({ status: 200, body: { scope: 'partial' } });
    expect(fleetsIn(reply, 'fleets')).toEqual(['blue', 'green']);
    expect((await as('admin', 'GET', '/lora/status')).body).toEqual(before);
  });

  it('leaves out those of the caller that do not exist', async () => {
    const reply = await as('mine', 'POST', '/lora/disable?fleet=*');
    expect(fleetsIn(reply, 'fleets')).toEqual(['blue']);
  });

  it('is refused when the caller has none', async () => {
    await appendsNothing(service.database, async () => {
      expectProblem(await as('none', 'POST', '/lora/disable?fleet=*'), 'unknown-fleet', '/lora/disable');
    });
  });

  it('is all fleets, and no part, for somebody who has all', async () => {
    const reply = await as('admin', 'POST', '/lora/disable?fleet=*');
    expect(fleetsIn(reply, 'fleets')).toEqual(['blue', 'default', 'green']);
    expect(reply.body).not.toHaveProperty('scope');
  });
});

it('keeps the keys of callers apart', async () => {
  const key = { 'Idempotency-Key': 'same' };
  const send = (who: keyof typeof tokens) =>
    service.api.send('POST', '/lora/disable?fleet=blue', { headers: { ...bearer(tokens[who]), ...key } });
  const [ana, robot, again] = [await send('mine'), await send('breaker'), await send('mine')];
  expect(robot.headers.get('idempotency-replayed')).toBeNull();
  expect(robot.body.last_actor).toBe('token:robot');
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  expect(again.body.generation).toBe(ana.body.generation);
});

it('names the actor and how it was known in every event, whatever the body says', async () => {
  const reply = await as('mine', 'POST', '/lora/disable?fleet=blue', { actor: 'token:root', auth: 'oidc' });
  expect(reply.body.notice).toContain('actor');
  const { body } = await as('mine', 'GET', `/lora/history/${String(reply.body.generation)}`);
  expect(body).toMatchObject({ actor: 'token:ana', auth: 'token' });
});
