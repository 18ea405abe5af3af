import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { bearer, newToken, TestAccessFile } from '../support/access.js';
import { startApp, type TestApp } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import type { Reply } from '../support/http.js';
import { expectProblem } from '../support/problem.js';

const tokens = { one: newToken(), two: newToken(), twoAgain: newToken(), operator: newToken() };
const report = (state = 'pending') => ({
  observed_generation: null,
  log_id: null,
  observed_adapters: [],
  state,
});

let file: TestAccessFile;
let database: TestDatabase;
let service: TestApp;

beforeAll(async () => {
  file = await TestAccessFile.make([
    { name: 'one', role: 'engine', token: tokens.one },
    { name: 'two', role: 'engine', token: tokens.two },
    { name: 'two', role: 'engine', token: tokens.twoAgain },
    { name: 'ana', role: 'operator', token: tokens.operator },
  ]);
  database = await createDatabase();
  const open = await startApp({}, database);
  await open.api.send('PUT', '/engines/from-open-days', { body: report() });
  await open.close();
  service = await startApp({ ACCESS_FILE: file.path }, database);
});
afterAll(async () => {
  await service.close();
  await database.drop();
  await file.remove();
});

const put = (token: string, id: string, state?: string): Promise<Reply> =>
  service.api.send('PUT', `/engines/${id}`, { headers: bearer(token), body: report(state) });
const remove = (token: string, id: string): Promise<Reply> =>
  service.api.send('DELETE', `/engines/${id}`, { headers: bearer(token) });
const seen = async (id: string) =>
  (await service.api.get(`/engines/${id}`, bearer(tokens.operator))).body as unknown as Record<
    string,
    unknown
  >;

it('an engine belongs to the first token that reports it', async () => {
  expect((await put(tokens.one, 'e-1')).status).toBe(200);
  expectProblem(await put(tokens.two, 'e-1', 'converged'), 'forbidden', '/engines/e-1');
  expectProblem(await remove(tokens.two, 'e-1'), 'forbidden', '/engines/e-1');
  expect(await seen('e-1')).toMatchObject({ owner: 'token:one', state: 'pending' });
  expect((await put(tokens.one, 'e-1', 'unreachable')).status).toBe(200);
  expect(await seen('e-1')).toMatchObject({ state: 'unreachable' });
});

it('of many that report a new engine at once exactly one gets it', async () => {
  for (let round = 0; round < 10; round++) {
    const id = `contended-${round}`;
    const replies = await Promise.all(
      [tokens.one, tokens.two, tokens.one, tokens.two].map((token) => put(token, id)),
    );
    const statuses = replies.map(({ status }) => status);
    expect([
      [200, 403, 200, 403],
      [403, 200, 403, 200],
    ]).toContainEqual(statuses);
    expect((await seen(id)).owner).toBe(statuses[0] === 200 ? 'token:one' : 'token:two');
  }
});

it('it still belongs to the name when its secret has been exchanged', async () => {
  expect((await put(tokens.two, 'e-2')).status).toBe(200);
  expect((await put(tokens.twoAgain, 'e-2')).status).toBe(200);
});

it('one from before anybody was asked belongs to the first that reports it then', async () => {
  expect((await seen('from-open-days')).owner).toBeNull();
  expectProblem(await remove(tokens.two, 'from-open-days'), 'forbidden', '/engines/from-open-days');
  expect((await put(tokens.one, 'from-open-days')).status).toBe(200);
  expectProblem(await put(tokens.two, 'from-open-days'), 'forbidden', '/engines/from-open-days');
});

it('its owner ends it, or an operator; then it is free', async () => {
  await put(tokens.one, 'e-3');
  expect((await remove(tokens.one, 'e-3')).status).toBe(204);
  expect((await put(tokens.two, 'e-3')).status).toBe(200);
  expect((await remove(tokens.operator, 'e-3')).status).toBe(204);
  expect(
    await database.query(
      "select owner, removed_by from engine_registrations where engine = 'e-3' order by id",
    ),
  ).toEqual([
    { owner: 'token:one', removed_by: 'token:one' },
    { owner: 'token:two', removed_by: 'token:ana' },
  ]);
});

it('a removal that the database does not take says whether it can have happened', async () => {
  await put(tokens.one, 'e-4');
  await database.query('alter table engine_registrations rename to mislaid');
  try {
    for (const [token, outcome] of [
      [tokens.one, 'none'],
      [tokens.operator, 'unknown'],
    ] as const) {
      const reply = await remove(token, 'e-4');
      expectProblem(reply, 'log-unavailable', '/engines/e-4');
      expect(reply.body.outcome).toBe(outcome);
    }
  } finally {
    await database.query('alter table mislaid rename to engine_registrations');
  }
  expect((await remove(tokens.one, 'e-4')).status).toBe(204);
});
