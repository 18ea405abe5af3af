import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { bearer, newToken, sha256Of, TestAccessFile } from '../support/access.js';
import { startApp, type TestApp } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventually, type Json, type Reply } from '../support/http.js';
import { expectInvalid, expectProblem } from '../support/problem.js';

const [aud, ana, brief] = [newToken(), newToken(), newToken()];
const AUD = { name: 'aud', role: 'auditor', token: aud } as const;
const ANA = { name: 'ana', role: 'operator', fleets: ['a'], token: ana } as const;
const BRIEF = { name: 'brief', role: 'breaker', token: brief, expires_at: '2030-01-01T00:00:00Z' } as const;
const recorded = (
  { name, role, token }: { name: string; role: string; token: string },
  more: object = {},
) => ({
  name,
  role,
  fleets: ['*'],
  expires_at: null,
  secret: sha256Of(token).slice(0, 8),
  ...more,
});

let database: TestDatabase;
let file: TestAccessFile;
let replicas: readonly TestApp[] = [];

beforeAll(async () => {
  database = await createDatabase();
  file = await TestAccessFile.make([AUD]);
});
afterAll(async () => {
  await close();
  await database.drop();
  await file.remove();
});

async function start(count: number, env: Record<string, string>): Promise<void> {
  replicas = await Promise.all(Array.from({ length: count }, () => startApp(env, database)));
}

async function close(): Promise<void> {
  await Promise.all(replicas.map((replica) => replica.close()));
  replicas = [];
}

const rows = async (): Promise<number> => (await database.query('select from access_changes')).length;
const ask = async (query = '') => replicas[0]?.api.get(`/audit/access${query}`, bearer(aud));
const listIn = (reply: Reply | undefined): readonly Json[] =>
  (reply?.body as { changes?: readonly Json[] } | undefined)?.changes ?? [];
const changes = async () => listIn(await ask());

it('that nobody is asked is on record too, once', async () => {
  for (let times = 0; times < 2; times++) {
    await start(2, {});
    await eventually(async () => (await rows()) === 1);
    const answer = await replicas[0]?.api.get('/audit/access');
    expect(answer?.body.changes).toMatchObject([{ access: 'open', file_sha256: null, came: [], went: [] }]);
    await close();
  }
  expect(await rows()).toBe(1);
});

it('two replicas that see one change write one row', async () => {
  await start(2, { ACCESS_FILE: file.path });
  await eventually(async () => (await rows()) === 2);
  await file.replace([AUD, ANA, BRIEF]);
  for (const { api } of replicas) {
    await eventually(async () => (await api.get('/lora/status?fleet=a', bearer(ana))).status === 404);
  }
  await eventually(async () => (await rows()) === 3);
  await file.replace([AUD, BRIEF]);
  for (const { api } of replicas) {
    await eventually(async () => (await api.get('/lora/status', bearer(ana))).status === 401);
  }
  await eventually(async () => (await rows()) === 4);
  expect(await changes()).toMatchObject([
    { access: 'required', came: [], went: [recorded(ANA, { fleets: ['a'] })] },
    {
      came: [recorded(ANA, { fleets: ['a'] }), recorded(BRIEF, { expires_at: BRIEF.expires_at })],
      went: [],
      file_sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
      replica: expect.stringMatching(/:0$/) as unknown,
    },
    { came: [recorded(AUD)], went: [] },
    { access: 'open' },
  ]);
});

it('a file that means the same writes none', async () => {
  const before = await rows();
  await file.replace([BRIEF, AUD]);
  // Both of one process log to the same place.
  await eventually(() => {
    const lines = replicas.flatMap(({ logged }) => logged);
    return lines.filter((line) => line.includes('has 2 tokens')).length === 4;
  });
  await close();
  await start(2, { ACCESS_FILE: file.path });
  await close();
  expect(await rows()).toBe(before);
  await start(1, { ACCESS_FILE: file.path });
});

it('a new secret under an old name is a change', async () => {
  const other = newToken();
  await file.replace([AUD, { ...BRIEF, token: other }]);
  const [newest] = await eventually(async () => {
    const found = await changes();
    return found.length === 5 && found;
  });
  const fields = { expires_at: BRIEF.expires_at };
  expect(newest).toMatchObject({
    came: [recorded({ ...BRIEF, token: other }, fields)],
    went: [recorded(BRIEF, fields)],
  });
});

it('says who could do what at a time', async () => {
  const found = await changes();
  const [, removed, added, closed, opened] = found.map(({ changed_at }) => String(changed_at));
  const at = async (time = '') => (await ask(`?at=${time}`))?.body;
  expect(await at(opened)).toMatchObject({ access: 'open', since: opened, until: closed, tokens: [] });
  expect(await at(added)).toMatchObject({
    access: 'required',
    since: added,
    until: removed,
    tokens: [
      { name: 'ana', role: 'operator', fleets: ['a'] },
      { name: 'aud', role: 'auditor' },
      { name: 'brief', role: 'breaker', operations: ['status', 'disable'] },
    ],
  });
  const later = (await at('2031-01-01T00:00:00Z')) as unknown as { tokens: Json[]; until: null };
  expect(later.until).toBeNull();
  expect(later.tokens.map(({ name }) => name)).toEqual(['aud']);
  expectProblem((await ask('?at=2020-01-01T00:00:00Z')) as never, 'not-found', '/audit/access');
});

it('comes in pages', async () => {
  const all = await changes();
  const seen: unknown[] = [];
  for (let cursor = ''; ;) {
    const page = await ask(`?limit=2${cursor}`);
    seen.push(...listIn(page));
    const next: unknown = page?.body.next_cursor;
    if (typeof next !== 'string') break;
    cursor = `&cursor=${next}`;
  }
  expect(seen).toEqual(all);
  expectInvalid((await ask('?cursor=x')) as never, 'cursor', '/audit/access');
});

it('a change that the database cannot take is recorded later, with the time that it came', async () => {
  const before = await rows();
  const clock = async (): Promise<string | undefined> => {
    const [row] = await database.query<{ now: string }>('select rfc3339(clock_timestamp()) as now');
    return row?.now;
  };
  const held = await database.connect();
  await held.query("select pg_advisory_lock(hashtext('access_changes'))");
  const waiting = () =>
    database.query<{ pid: number }>(
      `select pid from pg_locks where locktype = 'advisory' and not granted
         and database = (select oid from pg_database where datname = current_database())`,
    );
  const from = await clock();
  await file.replace([AUD]);
  const [first] = await eventually(async () => {
    const found = await waiting();
    return found.length === 1 && found;
  });
  // The age is measured before the question is on its way: what that takes makes the time a little later.
  await database.query('select pg_sleep(0.25)');
  const taken = await clock();
  await database.query('select pg_terminate_backend($1)', [first?.pid]);
  await eventually(async () => (await waiting()).some(({ pid }) => pid !== first?.pid));
  expect(await rows()).toBe(before);
  await held.end();
  await eventually(async () => (await rows()) === before + 1);
  const changedAt = String((await changes())[0]?.changed_at);
  expect([from, changedAt, taken]).toEqual([from, changedAt, taken].sort());
});

it('a change of a file with thousands of tokens is recorded within the time of a statement', async () => {
  const tokens = Array.from({ length: 8000 }, (_, n) =>
    recorded({ name: `e-${n}`, role: 'engine', token: `${n}` }),
  );
  const other = recorded({ name: 'e-7', role: 'engine', token: 'other' });
  const client = await database.connect();
  try {
    // The service's bound, and nothing stays.
    await client.query("begin; set local statement_timeout = '5s'");
    for (const list of [tokens, tokens.with(7, other)]) {
      const access = JSON.stringify({ access: 'required', tokens: list });
      await client.query('select record_access(0, $1, null, $2)', ['r', access]);
    }
    const { rows } = await client.query('select came, went from access_changes order by id desc limit 1');
    expect(rows).toEqual([{ came: [other], went: [tokens[7]] }]);
  } finally {
    await client.end();
  }
});
