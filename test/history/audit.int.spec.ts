import { once } from 'node:events';
import { type ClientRequest, get, type IncomingMessage } from 'node:http';

import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { leafHash } from '../../src/audit/core/leaf.js';
import type { Database } from '../../src/database/database.js';
import { HistoryReader } from '../../src/event-store/history-reader.js';
import { Tallies } from '../../src/event-store/tallies.js';
import type { OpenApp } from '../support/start.js';
import { startOpenApp } from '../support/open-app.js';
import { eventually, type Reply } from '../support/http.js';
import { expectInvalid, expectProblem } from '../support/problem.js';
import { appendBatch, entry, on } from '../event-store/batches.js';
import { explained, looked, type Step } from '../event-store/explained.js';

let service: OpenApp;
const times: string[] = [];

interface Told {
  readonly log_id: string;
  readonly events: readonly { readonly recorded_at: string }[];
}

const told = ({ body }: Reply): Told => body as unknown as Told;

beforeAll(async () => {
  service = await startOpenApp({ ACTIVE_LORA_ADAPTER: 'v1' });
  const { api } = service;
  await api.send('PUT', '/fleets/canary', { body: { adapter_version: 'v1' } });
  const { log_id } = told(await api.get('/lora/status'));
  await api.send('PUT', '/engines/e1', { body: { ...NOTHING } });
  await api.post('/lora/disable', { reason: '=cmd()', reference: 'INC-1' });
  const report = { ...NOTHING, observed_generation: 3, log_id, state: 'converged' };
  await api.send('PUT', '/engines/e1', { body: report });
  // Already disabled: it turns nothing off.
  await api.post('/lora/disable', { reason: 'again' });
  await api.post('/lora/enable', {});
  await api.post('/lora/deploy', { adapter_version: 'v2' });
  await api.post('/lora/disable?fleet=*', { reason: 'all' });
  const { events } = told(await api.get('/lora/history'));
  times.push(...events.map(({ recorded_at }) => recorded_at).reverse());
});
afterAll(() => service.close());

const microseconds = (time = ''): number => Date.parse(time) * 1000 + Number(time.slice(23, 26));

const NOTHING = { observed_generation: null, log_id: null, observed_adapters: [], state: 'pending' };

describe('GET /lora/history/{position}', () => {
  it('is that event', async () => {
    expect(await service.api.get('/lora/history/3')).toMatchObject({
      status: 200,
      body: { position: 3, type: 'LoraDisabled', reason: '=cmd()', reference: 'INC-1' },
    });
  });

  it('is 404 where the log has none, and 400 for what is no position', async () => {
    expectProblem(await service.api.get('/lora/history/99'), 'not-found', '/lora/history/99');
    expectInvalid(await service.api.get('/lora/history/0'), 'position', '/lora/history/0');
    expectInvalid(await service.api.get('/lora/history/3?x=1'), 'x', '/lora/history/3');
  });
});

describe('GET /lora/history/summary', () => {
  it('counts all, and names the kills, not those that turned nothing off', async () => {
    expect(await service.api.get('/lora/history/summary')).toMatchObject({
      status: 200,
      body: {
        since: null,
        events: 8,
        by_type: { AdapterDeployed: 1, LoraDisabled: 4, LoraEnabled: 1, LoraInitialized: 2 },
        by_fleet: { canary: 2, default: 6 },
        by_actor: { anonymous: 7, system: 1 },
        kills: [
          { position: 8, fleet: 'default', enabled_again_at: null, acknowledged_seconds: null },
          { position: 7, fleet: 'canary', enabled_again_at: null, acknowledged_seconds: null },
          {
            position: 3,
            reason: '=cmd()',
            enabled_again_at: times[4],
            acknowledged_seconds: expect.any(Number) as unknown,
          },
        ],
        next_cursor: null,
      },
    });
  });

  it('is of a part of the log, with what stood before it', async () => {
    const part = `since=${times[3] ?? ''}&until=${times[5] ?? ''}&fleet=default`;
    const { status, body: found } = await service.api.get(`/lora/history/summary?${part}`);
    const lasted = Math.round((microseconds(times[4]) - microseconds(times[3])) / 1000) / 1000;
    expect(status).toBe(200);
    expect(found).toMatchObject({
      events: 2,
      by_type: { LoraDisabled: 1, LoraEnabled: 1 },
      disabled_seconds: { default: lasted },
      kills: [],
    });
  });

  it('is told what is wrong with its times', async () => {
    const reply = await service.api.get('/lora/history/summary?since=yesterday');
    expectInvalid(reply, 'since', '/lora/history/summary');
  });
});

async function pagesOf(query: string): Promise<{ positions: number[]; pages: number }> {
  const positions: number[] = [];
  let pages = 0;
  for (let cursor: string | null = ''; cursor !== null; pages++) {
    const from: string = cursor === '' ? '' : `&cursor=${cursor}`;
    const { body } = await service.api.get(`/lora/history?${query}${from}`);
    const page = body as unknown as { events: { position: number }[]; next_cursor: string | null };
    positions.push(...page.events.map(({ position }) => position));
    cursor = page.next_cursor;
  }
  return { positions, pages };
}

describe('GET /fleets?at=', () => {
  it('is the fleets as of that time', async () => {
    const first = await service.api.get(`/fleets?at=${times[0] ?? ''}`);
    expect(first).toMatchObject({ status: 200, body: { final: true, fleets: [{ fleet: 'default' }] } });
    const killed = await service.api.get(`/fleets?at=${times[2] ?? ''}`);
    expect(killed.body).toMatchObject({
      fleets: [
        { fleet: 'canary', enabled: true, generation: 2 },
        { fleet: 'default', enabled: false, generation: 3, resume_adapter_version: 'v1' },
      ],
      next_cursor: null,
    });
    const page = await service.api.get(`/fleets?at=${times[2] ?? ''}&limit=1`);
    expect(page.body).toMatchObject({ fleets: [{ fleet: 'canary' }], next_cursor: 'canary' });
    const next = await service.api.get(`/fleets?at=${times[2] ?? ''}&limit=1&cursor=canary`);
    expect(next.body).toMatchObject({ fleets: [{ fleet: 'default' }], next_cursor: null });
    expect((await service.api.get('/fleets?at=2999-01-01T00:00:00Z')).body).toMatchObject({ final: false });
    expect((await service.api.get('/fleets?at=2001-01-01T00:00:00Z')).body).toMatchObject({ fleets: [] });
  });
});

interface Line {
  readonly record: string;
  readonly position: number;
  readonly recorded_at: string;
  readonly leaf_hash: string;
  readonly body: string;
  readonly columns: object;
  readonly state: object;
}

async function text(path: string): Promise<{ headers: Headers; text: string }> {
  const response = await fetch(service.api.url + path);
  expect(response.status).toBe(200);
  return { headers: response.headers, text: await response.text() };
}

describe('GET /lora/history/export', () => {
  it('is NDJSON with every byte that a verification needs', async () => {
    const { headers, text: file } = await text('/lora/history/export');
    expect(headers.get('content-type')).toBe('application/x-ndjson');
    expect(headers.get('content-disposition')).toMatch(
      /^attachment; filename="lora-log-[0-9a-f]{8}-8\.ndjson"$/,
    );
    const lines = file
      .trimEnd()
      .split('\n')
      .map((each) => JSON.parse(each) as Line);
    expect(lines.map(({ record }) => record)).toEqual([
      'log',
      ...Array.from({ length: 8 }, () => 'event'),
      'roll',
      'acknowledgement',
      'end',
    ]);
    expect(lines[0]).toMatchObject({ format: 'lora-log-export/1', position: 8, adoptions: [] });
    for (const { position, recorded_at, leaf_hash, body: event, columns } of lines.slice(1, 9)) {
      expect(leafHash(position, recorded_at, event).toString('hex')).toBe(leaf_hash);
      expect(JSON.parse(event)).toMatchObject(columns);
    }
    expect(lines[3]?.state).toMatchObject({ enabled: false, trail: ['v1'] });
    expect(lines[9]).toMatchObject({ generation: 3, engines: ['e1'] });
    expect(lines[10]).toMatchObject({ generation: 3, engine: 'e1', observed_adapters: [] });
    expect(lines[11]).toEqual({ record: 'end', events: 8, rolls: 1, acknowledgements: 1 });
  });

  it('is CSV that runs nothing in a spreadsheet', async () => {
    const { headers, text: file } = await text('/lora/history/export?format=csv&fleet=default');
    expect(headers.get('content-type')).toBe('text/csv; charset=utf-8');
    const lines = file.trimEnd().split('\r\n');
    expect(lines).toHaveLength(7);
    expect(lines[0]).toMatch(/^position,recorded_at,type,fleet,/);
    expect(lines[2]).toContain(`,"'=cmd()",INC-1,`);
  });

  it('is of a part of the log', async () => {
    const { text: file } = await text(`/lora/history/export?since=${times[2] ?? ''}&until=${times[4] ?? ''}`);
    const lines = file
      .trimEnd()
      .split('\n')
      .map((each) => JSON.parse(each) as Line);
    expect(lines.filter(({ record }) => record === 'event').map(({ position }) => position)).toEqual([3, 4]);
    expectInvalid(await service.api.get('/lora/history/export?format=xml'), 'format', '/lora/history/export');
  });

  it('stops reading when its caller goes, and has a limit of them', async () => {
    // More than the buffers of four connections hold.
    let generation = 7;
    for (let batch = 0; batch < 25; batch++) {
      const entries = Array.from({ length: 400 }, () => entry({ canary: generation }));
      await appendBatch(on(service.database), entries);
      const [row] = await service.database.query<{ last: number }>(
        "select max(generation)::int as last from fleet_states where fleet = 'canary'",
      );
      generation = row?.last ?? 0;
    }
    const held = await Promise.all(Array.from({ length: 4 }, () => begin('/lora/history/export')));
    const refused = await service.api.get('/lora/history/export');
    expectProblem(refused, 'too-many-streams', '/lora/history/export');
    for (const { request } of held) request.destroy();
    await eventually(async () => (await fetch(`${service.api.url}/lora/history/export?fleet=default`)).ok);
  }, 60_000);

  it.each([
    ['reason=%3Dcmd', [3], 4],
    ['fleet=canary&reason=all', [7], 4],
    ['actor=anonymous&fleet=canary&reason=zzz', [], 4],
    ['type=LoraDisabled&actor=system', [], 1],
    ['reference=INC-1&reason=cmd&type=LoraDisabled&fleet=default', [3], 1],
    ['reason=zzz&until=2001-01-01T00:00:00Z', [], 1],
  ])('a long log is read in pages that end early: %s', async (query, positions, pages) => {
    expect(await pagesOf(query)).toEqual({ positions, pages });
  });
});

describe('of a log of 10,000 events, whatever is asked, no more is read than a page', () => {
  let client: pg.Client;
  beforeAll(async () => {
    client = await service.database.connect();
    await client.query('vacuum (analyze) events, fleet_states');
    // So short a log may well be read whole; a long one may not.
    await client.query('set enable_seqscan = off');
  });
  afterAll(() => client.end());

  it('GET /lora/history/export', async () => {
    const pages: Step[][] = [];
    const query = async (sql: string, parameters: unknown[]) => {
      pages.push(await explained(client, sql, parameters));
      return [];
    };
    const reader = new HistoryReader({ dataSource: { query } } as unknown as Database);
    for (const fleets of [null, ['canary'], ['canary', 'default']]) {
      const part = { since: times[0] ?? null, until: '2999-01-01T00:00:00Z', fleet: null, fleets };
      for (const after of [0, 8000]) await reader.exportRows(part, after, 10_000, 1000);
    }
    expect(pages.map(looked)).toEqual([1000, 1000, 1000, 1000, 1006, 1000]);
  });
});

it('a summary of a log that is still to be counted says how far that is', async () => {
  await service.database.query('truncate event_kinds, event_tallies, disabled_spells');
  await service.database.query('update tally_head set position = 0');
  await expect(service.app.get(Tallies).catchUp(0)).rejects.toMatchObject({
    name: 'LogUnavailable',
    message: 'The log is still being counted: tallied 5000 of 10008 events. Ask again.',
  });
  // Whoever asks again goes on from there.
  expect((await service.api.get('/lora/history/summary')).body).toMatchObject({ events: 10_008 });
});

/** An export of which nothing is read but the head. */
async function begin(path: string): Promise<{ request: ClientRequest }> {
  const request = get(service.api.url + path, { agent: false });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  request.on('error', () => undefined);
  response.on('error', () => undefined).pause();
  return { request };
}
