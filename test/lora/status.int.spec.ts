import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { type TestApp, startApp } from '../support/app.js';
import type { Reply } from '../support/http.js';
import { appendsNothing, expectProblem } from '../support/problem.js';

let service: TestApp;
beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
});
afterAll(() => service.close());

describe('GET /lora/status', () => {
  it('has the members of the contract and no other', async () => {
    const { status, body } = await service.api.get('/lora/status');
    expect(status).toBe(200);
    expect(Object.keys(body).sort()).toStrictEqual(
      [
        ...['fleet', 'generation', 'log_id', 'enabled', 'active_adapter_version', 'previous_adapter_version'],
        ...['resume_adapter_version', 'rollback_target', 'last_operation', 'last_reason', 'last_actor'],
        ...['updated_at', 'rollback_history', 'activation_history'],
      ].sort(),
    );
    expect(body).toMatchObject({
      fleet: 'default',
      generation: 1,
      enabled: true,
      active_adapter_version: 'v1',
      previous_adapter_version: null,
      resume_adapter_version: null,
      rollback_target: null,
      last_operation: 'initialized',
      last_actor: 'system',
      rollback_history: [],
      activation_history: [],
    });
  });

  it('of an unknown fleet is 404 and names those there are', async () => {
    const reply = await service.api.get('/lora/status?fleet=nope');
    expectProblem(reply, 'unknown-fleet', '/lora/status');
    expect(reply.body.detail).toMatch(/nope.*default/);
  });

  it('is 304 without a body while the reader has the current state, 200 when it moves on', async () => {
    const { headers } = await service.api.get('/lora/status');
    const tag = headers.get('etag') ?? '';
    expect(tag).toMatch(/^"[0-9a-f]{8}-\d+"$/);
    for (const value of [tag, `W/${tag}`, `"00000000-1", ${tag}`, '*']) {
      const reply = await service.api.get('/lora/status', { 'if-none-match': value });
      expect([value, reply.status, reply.body]).toStrictEqual([value, 304, undefined]);
      expect(reply.headers.get('etag')).toBe(tag);
    }
    const generation = tag.slice(10, -1);
    for (const value of ['"00000000-1"', `"00000000-${generation}"`, generation, 'nonsense', '""']) {
      const reply = await service.api.get('/lora/status', { 'if-none-match': value });
      expect([value, reply.status]).toStrictEqual([value, 200]);
    }
    await service.api.post('/lora/disable');
    expect((await service.api.get('/lora/status', { 'if-none-match': tag })).status).toBe(200);
    await service.api.post('/lora/enable');
  });
});

describe('the histories', () => {
  it('tell each step, oldest first', async () => {
    const fleet = '?fleet=told';
    await service.api.send('PUT', '/fleets/told', { body: { adapter_version: 'v1' } });
    const calls: readonly (readonly [string, object])[] = [
      ['deploy', { adapter_version: 'v2' }],
      ['rollback', { reason: 'rollback_to_previous' }],
      ['disable', {}],
      ['rollback', { adapter_version: 'v0', reason: 'rollback_to_known_good' }],
      ['enable', { reason: 'post_incident_reenable' }],
      ['rollback', {}],
    ];
    const answers: Reply['body'][] = [];
    for (const [name, body] of calls)
      answers.push((await service.api.post(`/lora/${name}${fleet}`, body)).body);
    const at = (index: number) => ({
      timestamp: answers[index]?.updated_at,
      generation: answers[index]?.generation,
      actor: 'anonymous',
    });
    const { body } = await service.api.get(`/lora/status${fleet}`);
    expect(body.rollback_history).toStrictEqual([
      { ...at(1), from_version: 'v2', to_version: 'v1', enabled: true, reason: 'rollback_to_previous' },
      { ...at(3), from_version: 'v1', to_version: 'v0', enabled: false, reason: 'rollback_to_known_good' },
      { ...at(5), from_version: 'v0', to_version: null, enabled: true, reason: 'manual_operation' },
    ]);
    const deploy = { from_version: 'v1', to_version: 'v2', enabled: true, reason: 'manual_deploy' };
    const enable = { from_version: 'v0', to_version: 'v0', enabled: true, reason: 'post_incident_reenable' };
    expect(body.activation_history).toStrictEqual([
      { ...at(0), ...deploy, operation: 'deployed' },
      { ...at(4), ...enable, operation: 'enabled' },
    ]);
  });

  it('keep the newest 100, and end with the answered command', async () => {
    const fleet = '?fleet=busy';
    await service.api.send('PUT', '/fleets/busy');
    for (let i = 1; i <= 52; i++) {
      await service.api.post(`/lora/deploy${fleet}`, { adapter_version: `v${i}`, reason: `deploy ${i}` });
      await service.api.post(`/lora/rollback${fleet}`, {
        adapter_version: 'v0',
        reason: `rollback ${2 * i - 1}`,
      });
      await service.api.post(`/lora/enable${fleet}`, { reason: `enable ${i}` });
      await service.api.post(`/lora/rollback${fleet}`, { reason: `rollback ${2 * i}` });
    }
    const last = await service.api.post(`/lora/enable${fleet}`, { reason: 'the last' });
    const { body } = await service.api.get(`/lora/status${fleet}`);
    for (const answer of [last.body, body]) {
      const rollbacks = answer.rollback_history as unknown as { reason: string }[];
      expect(rollbacks.map(({ reason }) => reason)).toStrictEqual(
        Array.from({ length: 100 }, (_, i) => `rollback ${i + 5}`),
      );
      const activations = answer.activation_history as unknown as { reason: string; operation: string }[];
      const all = Array.from({ length: 52 }, (_, i) => [`deploy ${i + 1}`, `enable ${i + 1}`]).flat();
      expect(activations.map(({ reason }) => reason)).toStrictEqual([...all, 'the last'].slice(-100));
      for (const { reason, operation } of activations) {
        expect(operation).toBe(reason.startsWith('deploy') ? 'deployed' : 'enabled');
      }
    }
  });

  it('of a command end with it, also when it is told again later', async () => {
    await service.api.send('PUT', '/fleets/again');
    const key = { 'idempotency-key': 'again-1' };
    const first = await service.api.post('/lora/deploy?fleet=again', { adapter_version: 'v1' }, key);
    await service.api.post('/lora/deploy?fleet=again', { adapter_version: 'v2' });
    await service.api.post('/lora/rollback?fleet=again');
    const again = await service.api.post('/lora/deploy?fleet=again', { adapter_version: 'v1' }, key);
    expect(again.body.rollback_history).toStrictEqual(first.body.rollback_history);
    expect(again.body.activation_history).toStrictEqual(first.body.activation_history);
  });
});

it('reads append nothing', async () => {
  await appendsNothing(service.database, async () => {
    for (const path of [
      '/lora/status',
      '/fleets',
      '/lora/history',
      '/health',
      '/health/ready',
      '/health/live',
    ]) {
      expect((await service.api.get(path)).status).toBe(200);
    }
  });
});
