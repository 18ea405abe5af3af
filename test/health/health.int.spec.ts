import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type pg from 'pg';

import { VERSION } from '../../src/config/version.js';
import { type TestApp, startApp } from '../support/app.js';
import { eventually } from '../support/http.js';
import { appendsNothing } from '../support/problem.js';

let service: TestApp;
let holder: pg.Client;
beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
  holder = await service.database.connect();
  // Notifications are probed first.
  await eventually(async () =>
    JSON.stringify((await service.api.get('/health')).body).includes('"feed":"listening"'),
  );
});
afterEach(() => holder.query('rollback'));
afterAll(async () => {
  await holder.end();
  await service.close();
});

const hold = (sql: string) => holder.query(`begin; ${sql}`);
const HEAD = 'select * from log_head for update';

describe('GET /health/live', () => {
  it('answers whatever the database does', async () => {
    expect(await service.api.get('/health/live')).toMatchObject({ status: 200, body: { status: 'live' } });
    await hold('lock table log_head, events, fleet_states in access exclusive mode');
    expect(await service.api.get('/health/live')).toMatchObject({ status: 200, body: { status: 'live' } });
  });
});

describe('GET /health/ready', () => {
  it('is 200 while the log can take a kill, and appends nothing', async () => {
    await appendsNothing(service.database, async () => {
      expect(await service.api.get('/health/ready')).toMatchObject({
        status: 200,
        body: { status: 'ready' },
      });
    });
  });

  it('is 503 while somebody holds the head of the log, within its bound, and 200 after', async () => {
    await hold(HEAD);
    const began = performance.now();
    const reply = await service.api.get('/health/ready');
    expect(performance.now() - began).toBeLessThan(1_500);
    expect(reply).toMatchObject({ status: 503, body: { status: 'not-ready' } });
    await holder.query('rollback');
    expect((await service.api.get('/health/ready')).status).toBe(200);
  });

  it('asked by many while the head is held lets the next kill through after it', async () => {
    await hold(HEAD);
    const replies = await Promise.all(Array.from({ length: 20 }, () => service.api.get('/health/ready')));
    expect(new Set(replies.map(({ status }) => status))).toStrictEqual(new Set([503]));
    await holder.query('rollback');
    expect((await service.api.post('/lora/disable')).status).toBe(200);
    await service.api.post('/lora/enable');
  });

  it('does not keep the head: a kill right after it is taken', async () => {
    for (let i = 0; i < 5; i++) {
      const [ready, kill] = await Promise.all([
        service.api.get('/health/ready'),
        service.api.post('/lora/disable'),
      ]);
      expect([ready.status, kill.status]).toStrictEqual([200, 200]);
    }
    await service.api.post('/lora/enable');
  });
});

describe('GET /health', () => {
  it('tells version, parts and whether the flags differ', async () => {
    const reply = await service.api.get('/health');
    expect(reply.status).toBe(200);
    expect(reply.body).toStrictEqual({
      status: 'ok',
      version: VERSION,
      components: { log: 'up', feed: 'listening', clock: 'ok', access: 'open', audit: 'off' },
      flags_differ: false,
    });
  });

  it('is degraded while the log is held, and still tells what it knows', async () => {
    await hold(HEAD);
    const reply = await service.api.get('/health');
    expect(reply.body).toMatchObject({
      status: 'degraded',
      components: { log: 'down', feed: 'listening', clock: 'ok', access: 'open', audit: 'off' },
      flags_differ: false,
    });
  });

  it('is degraded when the log is ahead of the clock by more than a second, and a kill is taken', async () => {
    await service.database.query("update log_head set recorded_at = clock_timestamp() + interval '500 ms'");
    await service.api.post('/lora/enable');
    expect((await service.api.get('/health')).body).toMatchObject({
      status: 'ok',
      components: { clock: 'ok' },
    });
    await service.database.query("update log_head set recorded_at = clock_timestamp() + interval '1 hour'");
    expect(await service.api.post('/lora/disable')).toMatchObject({ status: 200, body: { enabled: false } });
    expect((await service.api.get('/health')).body).toMatchObject({
      status: 'degraded',
      components: { log: 'up', feed: 'listening', clock: 'behind-the-log' },
    });
    expect((await service.api.get('/health/ready')).status).toBe(200);
    await service.api.post('/lora/enable');
  });

  it('says when a command has made the state another one than the flags', async () => {
    await service.api.post('/lora/disable');
    expect((await service.api.get('/health')).body.flags_differ).toBe(true);
    await service.api.post('/lora/enable', { adapter_version: 'v2' });
    expect((await service.api.get('/health')).body.flags_differ).toBe(true);
    await service.api.post('/lora/rollback', { adapter_version: 'v1' });
    expect((await service.api.get('/health')).body.flags_differ).toBe(false);
  });
});
