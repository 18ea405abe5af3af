import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { bearer, newToken, TestAccessFile } from '../support/access.js';
import { startApp, type TestApp } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventually, type Json } from '../support/http.js';
import { expectInvalid, expectProblem } from '../support/problem.js';

const [root, aud, part, view] = [newToken(), newToken(), newToken(), newToken()];

let database: TestDatabase;
let file: TestAccessFile;
let service: TestApp;

beforeAll(async () => {
  database = await createDatabase();
  file = await TestAccessFile.make([
    { name: 'root', role: 'admin', token: root },
    { name: 'aud', role: 'auditor', token: aud },
    { name: 'part', role: 'auditor', fleets: ['blue', 'later'], token: part },
    { name: 'view', role: 'viewer', token: view },
  ]);
  service = await startApp({ ACCESS_FILE: file.path }, database);
  await service.api.send('PUT', '/fleets/blue', { headers: bearer(root) });
});
afterAll(async () => {
  await service.close();
  await database.drop();
  await file.remove();
});

/** Refusals as the auditor reads them, once there are so many of that request id. */
const ofRequest = (id: string, count = 1): Promise<Json[]> =>
  eventually(async () => {
    const { body } = await service.api.get('/audit/refusals?limit=500', bearer(aud));
    const found = (body.refusals as unknown as Json[]).filter(({ request_id }) => String(request_id) === id);
    return found.length >= count && found;
  });

const rows = async (): Promise<number> => (await database.query('select from refusals')).length;

describe('a refusal is on record', () => {
  const command = { 'content-type': 'application/json' };
  const ana = { actor: 'token:root', auth: 'token' };
  const nobody = { actor: 'anonymous', auth: 'none' };

  it.each([
    ['no token', 'GET /lora/history', {}, { ...nobody, status: 401, code: 'unauthenticated', fleet: null }],
    [
      'a wrong token',
      'POST /lora/disable?fleet=*',
      bearer(newToken()),
      { ...nobody, status: 401, code: 'unauthenticated', fleet: '*' },
    ],
    [
      'another role',
      'POST /adapters/v9/deploy?fleet=blue',
      bearer(view),
      {
        actor: 'token:view',
        auth: 'token',
        status: 403,
        fleet: 'blue',
        call: 'POST /adapters/:version/deploy',
      },
    ],
    [
      'another fleet',
      'GET /lora/status',
      bearer(part),
      { actor: 'token:part', status: 403, fleet: 'default' },
    ],
    [
      'a page of another site',
      'PUT /fleets/green',
      { ...bearer(root), 'sec-fetch-site': 'cross-site' },
      { ...nobody, status: 403, code: 'forbidden' },
    ],
    [
      'another generation',
      'POST /lora/rollback?fleet=blue',
      { ...bearer(root), 'if-match': '999' },
      { ...ana, status: 412, code: 'generation-mismatch', fleet: 'blue', call: 'POST /lora/rollback' },
    ],
    ['no fleet that could exist', 'GET /lora/status?fleet=%00', {}, { ...nobody, status: 401, fleet: null }],
  ])('%s', async (name, call, headers: Record<string, string>, expected) => {
    const id = name.replaceAll(' ', '-');
    const [method = '', path = ''] = call.split(' ');
    await service.api.send(method, path, { headers: { ...command, ...headers, 'x-request-id': id } });
    expect(await ofRequest(id)).toEqual([
      expect.objectContaining({
        call: call.replace(/\?.*/, ''),
        remote_address: '127.0.0.1',
        request_id: id,
        left_out: 0,
        replica: expect.stringMatching(/:0$/) as unknown,
        refused_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/) as unknown,
        ...expected,
      }),
    ]);
  });

  it('of what the state forbids, and of a key that is used twice', async () => {
    const send = (path: string, id: string, key: string) =>
      service.api.post(`${path}?fleet=blue`, undefined, {
        ...bearer(root),
        'x-request-id': id,
        'idempotency-key': key,
      });
    await send('/lora/disable', 'kill', 'one');
    await send('/adapters/v1/deploy', 'blocked', 'two');
    await send('/lora/enable', 'key-again', 'one');
    expect(await ofRequest('blocked')).toMatchObject([{ ...ana, status: 409, code: 'kill-switch-active' }]);
    expect(await ofRequest('key-again')).toMatchObject([{ status: 422, code: 'idempotency-key-reused' }]);
    expect(await database.query("select from refusals where request_id = 'kill'")).toEqual([]);
  });

  it('what is badly formed, or not there, or a conflict of something else than a command, is none', async () => {
    const report = { observed_generation: null, log_id: null, observed_adapters: [], state: 'pending' };
    const engine = (fleet: string) =>
      service.api.send('PUT', `/engines/e-1?fleet=${fleet}`, {
        headers: { ...command, ...bearer(root) },
        body: report,
      });
    expect((await engine('blue')).status).toBe(200);
    const before = await rows();
    expectProblem(await engine('default'), 'engine-in-other-fleet', '/engines/e-1');
    await service.api.post('/lora/enable', { nonsense: 1 }, bearer(root));
    await service.api.get('/nowhere');
    await service.api.get('/lora/status?fleet=nowhere', bearer(root));
    await service.api.get('/lora/status', { 'x-request-id': 'after-those' });
    await ofRequest('after-those');
    expect(await rows()).toBe(before + 1);
  });
});

describe('GET /audit/refusals', () => {
  const read = async (query: string, token = aud) =>
    (await service.api.get(`/audit/refusals${query}`, bearer(token))).body;
  const listed = async (query: string, token = aud): Promise<readonly Json[]> =>
    (await read(query, token)).refusals as unknown as Json[];

  it('comes newest first, in pages, none twice', async () => {
    const all = await listed('?limit=500');
    expect(all.length).toBeGreaterThan(5);
    const times = all.map(({ refused_at }) => String(refused_at));
    expect(times).toEqual([...times].sort().reverse());
    const seen: Json[] = [];
    for (let cursor = ''; ;) {
      const page = await read(`?limit=2${cursor}`);
      seen.push(...(page.refusals as unknown as Json[]));
      const next: unknown = page.next_cursor;
      if (typeof next !== 'string') break;
      cursor = `&cursor=${next}`;
    }
    expect(seen).toEqual(all);
  });

  it('is filtered', async () => {
    const all = await listed('?limit=500');
    for (const [name, value] of [
      ['actor', 'token:root'],
      ['fleet', 'blue'],
      ['code', 'forbidden'],
      ['remote_address', '127.0.0.1'],
    ] as const) {
      const found = await listed(`?limit=500&${name}=${value}`);
      expect(found).toEqual(all.filter((each) => String(each[name]) === value));
      expect(found.length).toBeGreaterThan(0);
    }
    const middle = String(all[2]?.refused_at);
    expect(await listed(`?limit=500&since=${middle}`)).toEqual(all.slice(0, 3));
    expect(await listed(`?limit=500&until=${middle}`)).toEqual(all.slice(3));
    expect(await listed('?remote_address=192.0.2.1')).toEqual([]);
  });

  it.each(['code=validation-failed', 'cursor=x', 'limit=0', 'since=soon', 'fleet=*', 'nonsense=1'])(
    'does not take %s',
    async (query) => {
      const reply = await service.api.get(`/audit/refusals?${query}`, bearer(aud));
      expectInvalid(reply, query.replace(/=.*/, ''), '/audit/refusals');
    },
  );

  it('shows an auditor of some fleets what was meant for them', async () => {
    const body = await read('?limit=500', part);
    expect(body.scope).toBe('partial');
    const fleets = (body.refusals as unknown as Json[]).map(({ fleet }) => String(fleet));
    expect(new Set(fleets)).toEqual(new Set(['blue']));
    expectProblem(
      await service.api.get('/audit/refusals?fleet=default', bearer(part)),
      'forbidden',
      '/audit/refusals',
    );
  });
});

it('what the database cannot take is written later, once, and answers do not wait for it', async () => {
  const holder = await database.connect();
  await holder.query('begin; lock table refusals in access exclusive mode');
  const from = performance.now();
  const refused = { 'x-request-id': 'while-locked' };
  expect((await service.api.get('/lora/history', refused)).status).toBe(401);
  expect(performance.now() - from).toBeLessThan(2000);
  const waiting = (): Promise<{ pid: number }[]> =>
    database.query("select pid from pg_locks where relation = 'refusals'::regclass and not granted");
  const [first] = await eventually(async () => {
    const found = await waiting();
    return found.length > 0 && found;
  });
  await database.query('select pg_terminate_backend($1)', [first?.pid]);
  await eventually(async () => (await waiting()).some(({ pid }) => pid !== first?.pid));
  await holder.end();
  expect(await ofRequest('while-locked')).toHaveLength(1);
});

it('names to a caller of some fleets only those, where there is no such fleet', async () => {
  for (const path of ['/lora/status', '/lora/stream', '/lora/convergence']) {
    const reply = await service.api.get(`${path}?fleet=later`, bearer(part));
    expectProblem(reply, 'unknown-fleet', path);
    expect(reply.body.detail).toBe('There is no fleet later. The fleets are: blue.');
  }
  const { body } = await service.api.get('/lora/status?fleet=later', bearer(root));
  expect(body.detail).toBe('There is no fleet later. The fleets are: blue, default.');
});

it('a storm is bounded, and what was left out is counted when the service ends', async () => {
  // What is kept of a caller is counted anew every minute: the storm begins one.
  await service.close();
  service = await startApp({ ACCESS_FILE: file.path }, database);
  const storm = Array.from({ length: 100 }, () => service.api.post('/lora/enable', undefined, bearer(view)));
  const statuses = (await Promise.all(storm)).map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([403]));
  await service.close();
  const kept = await database.query<{ left_out: number }>(
    "select left_out from refusals where actor = 'token:view' and call = 'POST /lora/enable' order by id",
  );
  expect(kept.length).toBeLessThanOrEqual(61);
  expect(kept.reduce((sum, { left_out }) => sum + 1 + left_out, 0)).toBe(100);
  service = await startApp({ ACCESS_FILE: file.path }, database);
});
