import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { type TestApp, startApp } from '../support/app.js';
import type { Json, Reply } from '../support/http.js';
import { appendsNothing, expectInvalid, headOf } from '../support/problem.js';

let service: TestApp;
beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
});
afterAll(() => service.close());

const put = (fleet: string, body?: object, headers = {}) =>
  service.api.send('PUT', `/fleets/${fleet}`, { body, headers });

/** An answer to a command without its receipt, which is of the command alone. */
function stateOf({ body }: Reply): Json {
  const { receipt, ...state } = body;
  expect(receipt).toBeDefined();
  return state;
}

describe('PUT /fleets/{fleet}', () => {
  it('makes a fleet: 201, enabled on the base model', async () => {
    const before = await headOf(service.database);
    const reply = await put('plain');
    expect(reply).toMatchObject({
      status: 201,
      body: {
        fleet: 'plain',
        generation: before + 1,
        enabled: true,
        active_adapter_version: null,
        resume_adapter_version: null,
        rollback_target: null,
        last_operation: 'initialized',
        last_reason: 'manual_operation',
        last_actor: 'anonymous',
        rollback_history: [],
        activation_history: [],
      },
    });
    expect(reply.body).not.toHaveProperty('notice');
    const tag = `"${String(reply.body.log_id).slice(0, 8)}-${before + 1}"`;
    expect(reply.headers.get('etag')).toBe(tag);
    expect((await service.api.get('/lora/status?fleet=plain')).body).toStrictEqual(stateOf(reply));
    const { body } = await service.api.get('/lora/history?fleet=plain');
    expect(body.events).toMatchObject([{ type: 'LoraInitialized', fleet: 'plain', actor: 'anonymous' }]);
  });

  it('takes what the flags of the first start take', async () => {
    expect((await put('on', { adapter_version: 'v3', reason: 'new_region' })).body).toMatchObject({
      enabled: true,
      active_adapter_version: 'v3',
      resume_adapter_version: null,
      last_reason: 'new_region',
    });
    expect((await put('off', { enabled: false, adapter_version: 'v3' })).body).toMatchObject({
      enabled: false,
      active_adapter_version: null,
      resume_adapter_version: 'v3',
    });
    expect((await put('off-bare', { enabled: false })).body).toMatchObject({
      enabled: false,
      active_adapter_version: null,
      resume_adapter_version: null,
    });
  });

  it('of a fleet that exists changes nothing: 200, whatever it says', async () => {
    await put('twice', { adapter_version: 'v1' });
    const first = (await service.api.get('/lora/status?fleet=twice')).body;
    await appendsNothing(service.database, async () => {
      for (const body of [undefined, {}, { adapter_version: 'v2' }, { enabled: false }]) {
        const reply = await put('twice', body);
        expect(reply.status).toBe(200);
        expect(reply.body).toMatchObject({ ...first });
        expect(reply.body.notice).toMatch(/exists already/);
        expect(reply.headers.get('etag')).toBe(`"${String(first.log_id).slice(0, 8)}-${first.generation}"`);
      }
      expect((await put('default', { enabled: false })).body).toMatchObject({ enabled: true });
    });
  });

  it('is made once by many at the same time', async () => {
    const before = await headOf(service.database);
    const replies = await Promise.all(
      Array.from({ length: 10 }, () => put('raced', { adapter_version: 'v1' })),
    );
    expect(replies.map(({ status }) => status).sort()).toStrictEqual([...Array<number>(9).fill(200), 201]);
    expect(await headOf(service.database)).toBe(before + 1);
  });

  it('takes the longest name, and the shortest', async () => {
    for (const name of ['a'.repeat(63), '0', 'x', '0-']) expect((await put(name)).status).toBe(201);
  });
});

describe('GET /fleets', () => {
  it('gives every state, by name, without histories', async () => {
    const { body, status } = await service.api.get('/fleets');
    expect(status).toBe(200);
    expect(body.next_cursor).toBeNull();
    const fleets = body.fleets as unknown as { fleet: string }[];
    const names = fleets.map(({ fleet }) => fleet);
    expect(names).toContain('default');
    expect(names).toStrictEqual([...names].sort());
    expect(new Set(names).size).toBe(names.length);
    for (const state of fleets) {
      const { body: whole } = await service.api.get(`/lora/status?fleet=${state.fleet}`);
      const { rollback_history, activation_history, ...rest } = whole;
      expect(rollback_history).toStrictEqual([]);
      expect(activation_history).toStrictEqual([]);
      expect(state).toStrictEqual(rest);
    }
  });

  it('pages by name without a gap or a repeat, whatever moves meanwhile', async () => {
    for (const name of ['p', 'p-', 'p--1', 'p-1', 'p0', 'p1', 'pa']) await put(name);
    const { body: all } = await service.api.get('/fleets?limit=500');
    const names = (all.fleets as unknown as { fleet: string }[]).map(({ fleet }) => fleet);
    for (const limit of [1, 2, 3, names.length - 1, names.length]) {
      const seen: string[] = [];
      let cursor: string | null = '';
      while (cursor !== null) {
        const query: string = cursor === '' ? '' : `&cursor=${cursor}`;
        const { body } = await service.api.get(`/fleets?limit=${limit}${query}`);
        const page = (body.fleets as unknown as { fleet: string }[]).map(({ fleet }) => fleet);
        expect(page.length).toBeGreaterThan(0);
        expect(page.length).toBeLessThanOrEqual(limit);
        seen.push(...page);
        cursor = body.next_cursor as unknown as string | null;
        await service.api.post('/lora/enable?fleet=p');
      }
      expect([limit, seen]).toStrictEqual([limit, names]);
    }
  });

  it('goes on after a name that is no fleet, and ends after the last', async () => {
    const { body } = await service.api.get('/fleets?cursor=p-0');
    expect((body.fleets as unknown as { fleet: string }[])[0]?.fleet).toBe('p-1');
    expect((await service.api.get('/fleets?cursor=zzz')).body).toStrictEqual({
      fleets: [],
      next_cursor: null,
    });
  });

  it('refuses a fleet in the query', async () => {
    expectInvalid(await service.api.get('/fleets?fleet=default'), 'fleet', '/fleets');
  });
});
