import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { type TestApp, startApp } from '../support/app.js';
import { expectInvalid } from '../support/problem.js';

interface Event {
  readonly position: number;
  readonly recorded_at: string;
  readonly type: string;
  readonly fleet: string;
}
interface Page {
  readonly events: readonly Event[];
  readonly next_cursor: string | null;
}

let service: TestApp;
/** Every event, newest first. */
let all: readonly Event[];
beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
  const { api } = service;
  await api.send('PUT', '/fleets/canary', { body: { adapter_version: 'v1', reference: 'T-1' } });
  await api.post('/lora/deploy', { adapter_version: 'v2', reason: 'Canary looks good', reference: 'T-2' });
  await api.post('/lora/disable', { reason: 'regression_detected', reference: 'INC-7' });
  await api.post('/lora/rollback', {
    adapter_version: 'v1',
    reason: 'rollback_to_known_good',
    reference: 'INC-7',
  });
  await api.post('/lora/enable', { reason: '100% sure_ly \\ fine' });
  await api.post('/lora/disable?fleet=*', { reason: 'REGRESSION again' });
  await api.post('/lora/enable?fleet=canary', { adapter_version: 'v2' });
  all = (await page('?limit=500')).events;
});
afterAll(() => service.close());

async function page(query: string): Promise<Page> {
  const { status, body } = await service.api.get(`/lora/history${query}`);
  expect({ query, status, body }).toMatchObject({ status: 200 });
  return body as unknown as Page;
}
const positions = async (query: string): Promise<number[]> =>
  (await page(query)).events.map(({ position }) => position);

describe('GET /lora/history', () => {
  it('gives every event, newest first', () => {
    expect(all.map(({ position }) => position)).toStrictEqual([9, 8, 7, 6, 5, 4, 3, 2, 1]);
    const times = all.map(({ recorded_at }) => recorded_at);
    expect(times).toStrictEqual([...new Set(times)].sort().reverse());
  });

  it('gives an event with every member of its format', async () => {
    const { body } = await service.api.send('POST', '/lora/disable?fleet=canary', {
      body: { reason: 'regression_detected', reference: 'INC-8' },
      headers: { 'user-agent': 'pager/1', 'x-request-id': 'req-1', 'idempotency-key': 'k-1' },
    });
    const { events } = await page('?limit=1');
    expect(events).toStrictEqual([
      {
        schema_version: 1,
        id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
        type: 'LoraDisabled',
        fleet: 'canary',
        adapter_version: null,
        from_version: 'v2',
        to_version: 'v2',
        enabled: false,
        reason: 'regression_detected',
        reference: 'INC-8',
        actor: 'anonymous',
        auth: 'none',
        source: 'pager/1',
        remote_address: expect.stringMatching(/127\.0\.0\.1$/),
        request_id: 'req-1',
        idempotency_key: 'k-1',
        position: body.generation,
        recorded_at: body.updated_at,
        leaf_hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    ]);
    await service.api.post('/lora/enable?fleet=canary');
    all = (await page('?limit=500')).events;
  });

  it.each([
    ['fleet=canary', [11, 10, 9, 7, 2]],
    ['fleet=default', [8, 6, 5, 4, 3, 1]],
    ['fleet=none', []],
    ['type=LoraInitialized', [2, 1]],
    ['type=LoraDisabled', [10, 8, 7, 4]],
    ['type=LoraEnabled', [11, 9, 6]],
    ['type=LoraRolledBack', [5]],
    ['type=AdapterDeployed', [3]],
    ['actor=system', [1]],
    ['actor=anonymous&limit=2', [11, 10]],
    ['actor=nobody', []],
    ['adapter_version=v1', [5, 2, 1]],
    ['adapter_version=v2', [9, 3]],
    ['reference=INC-7', [5, 4]],
    ['reference=INC', []],
    ['reason=regression', [10, 8, 7, 4]],
    ['reason=CANARY', [3]],
    ['reason=looks%20good', [3]],
    ['reason=looks+good', [3]],
    ['reason=%25', [6]],
    ['reason=_ly%20%5C', [6]],
    ['reason=%25_', []],
    ['reason=%5C', [6]],
    ["reason='", []],
    ['fleet=default&type=LoraDisabled', [8, 4]],
    ['fleet=default&type=LoraDisabled&reason=again&actor=anonymous', [8]],
    ['fleet=canary&reference=INC-7', []],
    ['cursor=4', [3, 2, 1]],
    ['cursor=1', []],
    ['cursor=999999999999999&limit=1', [11]],
    ['fleet=default&cursor=6&limit=2', [5, 4]],
  ])('filters by %s', async (query, expected) => {
    expect(await positions(`?${query}`)).toStrictEqual(expected);
  });

  it('filters by time to the microsecond: from `since`, to before `until`', async () => {
    for (const { position, recorded_at } of all) {
      const at = encodeURIComponent(recorded_at);
      expect((await positions(`?since=${at}&limit=500`)).at(-1)).toBe(position);
      expect((await positions(`?until=${at}`)).at(0)).toBe(position === 1 ? undefined : position - 1);
      expect(await positions(`?since=${at}&until=${at}`)).toStrictEqual([]);
    }
    const [newest, , , oldest] = all;
    const range = `?since=${oldest?.recorded_at ?? ''}&until=${newest?.recorded_at ?? ''}`;
    expect(await positions(range)).toStrictEqual(all.slice(1, 4).map(({ position }) => position));
  });

  it('takes times in every form of RFC 3339 that names a zone', async () => {
    for (const time of [
      '2020-01-01T00:00:00Z',
      '2020-01-01T00:00:00.1Z',
      '2020-01-01T01:00:00%2B01:00',
      '2020-02-29T00:00:00-12:30',
    ]) {
      expect(await positions(`?since=${time}&limit=500`)).toHaveLength(all.length);
      expect(await positions(`?until=${time}`)).toStrictEqual([]);
    }
  });

  it('pages without a gap or a repeat, also when the log grows meanwhile', async () => {
    const known = (await positions('?fleet=default&limit=500')).length;
    for (const limit of [1, 2, 3, known, known + 1]) {
      const wanted = await positions('?fleet=default&limit=500');
      const seen: number[] = [];
      let cursor: string | null = '';
      while (cursor !== null) {
        const from: string = cursor === '' ? '' : `&cursor=${cursor}`;
        const { events, next_cursor }: Page = await page(`?fleet=default&limit=${limit}${from}`);
        expect(events.length).toBeLessThanOrEqual(limit);
        seen.push(...events.map(({ position }) => position));
        cursor = next_cursor;
        await service.api.post('/lora/enable');
      }
      expect([limit, seen]).toStrictEqual([limit, wanted]);
    }
  });

  it('has 100 events a page, 500 at most', async () => {
    await service.api.send('PUT', '/fleets/long');
    for (let i = 1; i < 102; i++) await service.api.post('/lora/enable?fleet=long');
    const first = await page('?fleet=long');
    expect(first.events).toHaveLength(100);
    expect(first.next_cursor).not.toBeNull();
    const rest = await page(`?fleet=long&cursor=${first.next_cursor ?? ''}`);
    expect(rest.events).toHaveLength(2);
    expect(rest.next_cursor).toBeNull();
    expect((await page('?fleet=long&limit=102')).next_cursor).toBeNull();
    expect((await page('?fleet=long&limit=101')).next_cursor).not.toBeNull();
    expect((await page('?fleet=long&limit=500')).events).toHaveLength(102);
  });

  it.each([
    ['type=loradisabled', 'type'],
    ['type=', 'type'],
    ['type=LoraDisabled&type=LoraEnabled', 'type'],
    ['actor=', 'actor'],
    ['actor=%20', 'actor'],
    ['actor=a%00', 'actor'],
    ['adapter_version=', 'adapter_version'],
    ['reference=', 'reference'],
    ['reason=', 'reason'],
    ['reason=%00', 'reason'],
    [`reason=${'r'.repeat(501)}`, 'reason'],
    ['limit=0', 'limit'],
    ['limit=501', 'limit'],
    ['cursor=0', 'cursor'],
    ['cursor=-1', 'cursor'],
    ['cursor=1.5', 'cursor'],
    ['cursor=abc', 'cursor'],
    ['cursor=', 'cursor'],
    ['cursor=9999999999999999999', 'cursor'],
    ['offset=10', 'offset'],
    ['since=yesterday', 'since'],
    ['since=', 'since'],
    ['since=2026-11-24', 'since'],
    ['since=2026-11-24T02:14:07', 'since'],
    ['since=2026-11-24T02:14:07+00:00', 'since'],
    ['since=2026-02-31T00:00:00Z', 'since'],
    ['since=2025-02-29T00:00:00Z', 'since'],
    ['since=2026-13-01T00:00:00Z', 'since'],
    ['since=2026-11-24T25:00:00Z', 'since'],
    ['since=2026-11-24T02:60:07Z', 'since'],
    ['since=2026-11-24T02:14:07.1234567Z', 'since'],
    ['since=1700000000', 'since'],
    ['since=infinity', 'since'],
    ['since=now', 'since'],
    ['since=0000-01-01T00:00:00Z', 'since'],
    ['since=2026-11-24T02:14:07%2B16:00', 'since'],
    ['since=2026-11-24T02:14:07%2B23:59', 'since'],
    ['since=2026-11-24T02:14:07-99:99', 'since'],
    ['until=0000-12-31T23:59:59Z', 'until'],
    ['until=2026-11-24T02:14:07-18:00', 'until'],
    ['since=2026-11-24T02:14:07Z&since=2026-11-24T02:14:07Z', 'since'],
  ])('refuses %s', async (query, field) => {
    expectInvalid(await service.api.get(`/lora/history?${query}`), field, '/lora/history');
  });
});
