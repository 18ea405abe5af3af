import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Application } from 'express';

import { DESCRIPTION_PATHS, type Role, ROLES, ROUTES } from '../../src/access/roles.js';
import { bearer, newToken, TestAccessFile } from '../support/access.js';
import { startApp, type TestApp } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { appendsNothing, expectProblem } from '../support/problem.js';
import { RawConnection } from '../support/raw-http.js';

/** What the roles may do, in the words of the people who gave them out; nothing of it comes from the table. */
const READERS: readonly Role[] = ['viewer', 'deployer', 'operator', 'auditor', 'admin'];
const STREAMERS: readonly Role[] = [...READERS, 'engine'];
const STATUS: readonly Role[] = [...STREAMERS, 'breaker'];
const OPERATORS: readonly Role[] = ['operator', 'admin'];
const DEPLOYERS: readonly Role[] = ['deployer', ...OPERATORS];
const AUDITORS: readonly Role[] = ['auditor', 'admin'];

const REPORT = { observed_generation: null, log_id: null, observed_adapters: [], state: 'pending' };

interface Call {
  readonly path: string;
  readonly body?: object;
  readonly may: readonly Role[];
}

const CALLS: Readonly<Record<string, Call>> = {
  'GET /lora/status': { path: '/lora/status', may: STATUS },
  'GET /lora/stream': { path: '/lora/stream', may: STREAMERS },
  'POST /lora/disable': { path: '/lora/disable', may: ['operator', 'breaker', 'admin'] },
  'POST /lora/enable': { path: '/lora/enable', may: OPERATORS },
  'POST /lora/rollback': { path: '/lora/rollback', may: OPERATORS },
  'POST /lora/deploy': { path: '/lora/deploy', body: { adapter_version: 'v1.2' }, may: DEPLOYERS },
  'POST /adapters/:version/deploy': { path: '/adapters/v1.2/deploy', may: DEPLOYERS },
  'GET /fleets': { path: '/fleets', may: READERS },
  'PUT /fleets/:fleet': { path: '/fleets/canary', may: OPERATORS },
  'GET /lora/convergence': { path: '/lora/convergence', may: READERS },
  'GET /engines': { path: '/engines', may: READERS },
  'GET /engines/:id': { path: '/engines/e-1', may: READERS },
  'PUT /engines/:id': { path: '/engines/e-1', body: REPORT, may: ['engine', 'admin'] },
  'DELETE /engines/:id': { path: '/engines/e-2', may: ['engine', ...OPERATORS] },
  'GET /lora/history': { path: '/lora/history', may: READERS },
  'GET /lora/history/summary': { path: '/lora/history/summary', may: READERS },
  'GET /lora/history/:position': { path: '/lora/history/1', may: READERS },
  'GET /lora/history/export': { path: '/lora/history/export', may: AUDITORS },
  'GET /audit/checkpoint': { path: '/audit/checkpoint', may: READERS },
  'GET /audit/checkpoints': { path: '/audit/checkpoints', may: READERS },
  'GET /audit/proof/:position': { path: '/audit/proof/1', may: READERS },
  'GET /audit/consistency': { path: '/audit/consistency?from=1', may: READERS },
  'GET /audit/key': { path: '/audit/key', may: READERS },
  'GET /audit/access': { path: '/audit/access', may: AUDITORS },
  'GET /audit/refusals': { path: '/audit/refusals', may: AUDITORS },
  // From elsewhere: on this machine it is open.
  'GET /metrics': { path: '/metrics', may: READERS },
  'GET /docs': { path: '/docs', may: READERS },
  'GET /openapi.json': { path: '/openapi.json', may: READERS },
};
const OPEN = ['GET /health', 'GET /health/live', 'GET /health/ready'];

const tokens = new Map(ROLES.map((role) => [role, newToken()]));
const expired = newToken();
let database: TestDatabase;
let file: TestAccessFile;
let service: TestApp;

beforeAll(async () => {
  file = await TestAccessFile.make([
    ...ROLES.map((role) => ({ name: `a-${role}`, role, token: tokens.get(role) })),
    { name: 'of-old', role: 'admin', token: expired, expires_at: '2020-01-01T00:00:00Z' },
  ]);
  database = await createDatabase();
  service = await startApp({ ACCESS_FILE: file.path }, database);
});
afterAll(async () => {
  await database.drop();
  await file.remove();
});

/** Refusals that callers were given. */
let refused = 0;

/** The status and headers of an answer; a stream or a file is not read to its end. */
async function call(route: string, path: string, body: object | undefined, headers: Record<string, string>) {
  const reading = new AbortController();
  const [method] = route.split(' ');
  const response = await fetch(service.api.url + path, {
    method,
    headers: { ...headers, 'x-forwarded-for': '192.0.2.1', 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
    signal: reading.signal,
  });
  const problem = response.ok ? '' : await response.text();
  reading.abort();
  if ([401, 403, 409].includes(response.status)) refused++;
  return { status: response.status, challenge: response.headers.get('www-authenticate'), problem };
}

it('names every route that there is, and no other', () => {
  const app = service.app.getHttpAdapter().getInstance() as Application;
  const layers = app.router.stack as { route?: { path: string; methods: Record<string, boolean> } }[];
  const routes = layers.flatMap(({ route }) =>
    route === undefined
      ? []
      : Object.keys(route.methods).map((method) => `${method.toUpperCase()} ${route.path}`),
  );
  const described = (route: string): boolean =>
    DESCRIPTION_PATHS.some((path) => route === `GET ${path}` || route.startsWith(`GET ${path}/`));
  expect(routes.filter((route) => !described(route)).sort()).toStrictEqual(Object.keys(ROUTES).sort());
  expect([...Object.keys(CALLS), ...OPEN].filter((route) => !described(route)).sort()).toStrictEqual(
    Object.keys(ROUTES).sort(),
  );
});

it.each(OPEN)('%s asks nobody', async (route) => {
  const { status } = await call(route, route.replace('GET ', ''), undefined, {});
  expect(status).toBe(200);
});

describe.each(Object.entries(CALLS))('%s', (route, { path, body, may }) => {
  it.each(ROLES)('%s', async (role) => {
    const reply = await call(route, path, body, bearer(tokens.get(role) ?? ''));
    if (may.includes(role)) expect([200, 201, 204, 404, 409]).toContain(reply.status);
    else
      expect(reply).toMatchObject({
        status: 403,
        problem: expect.stringContaining('"forbidden"') as unknown,
      });
  });

  it.each([
    ['no token', {}, 'Bearer'],
    ['a token that nobody has', bearer(newToken()), 'Bearer error="invalid_token"'],
    ['a token that has expired', bearer(expired), 'Bearer error="invalid_token"'],
    ['another scheme', { authorization: 'Basic YTpi' }, 'Bearer error="invalid_token"'],
  ])('%s', async (_name, headers: Record<string, string>, challenge) => {
    await appendsNothing(service.database, async () => {
      const reply = await call(route, path, body, headers);
      expect(reply).toMatchObject({ status: 401, challenge });
      expect(reply.problem).toContain('"unauthenticated"');
      const token = headers.authorization?.split(' ')[1];
      if (token !== undefined) expect(reply.problem).not.toContain(token);
    });
  });
});

describe('who calls is known from the head alone', () => {
  it.each([
    ['nobody', undefined, 'unauthenticated'],
    ['a viewer', 'viewer', 'forbidden'],
  ] as const)('%s whose body never comes is refused', async (_name, role, code) => {
    const token = role && tokens.get(role);
    for (const path of ['/lora/disable', '/lora/enable']) {
      await appendsNothing(service.database, async () => {
        const connection = await RawConnection.open(service.api.url);
        const body = { 'content-type': 'application/json', 'content-length': 100 };
        connection.head('POST', path, { ...body, ...(token === undefined ? {} : bearer(token)) }).write('{');
        const from = performance.now();
        expectProblem(await connection.reply(), code, path);
        // A kill would wait for its body for 1 s, an enable for 10.
        expect(performance.now() - from).toBeLessThan(900);
        connection.close();
        refused++;
      });
    }
  });
});

it('every refusal is on record, one by one or counted, and no other', async () => {
  await service.close();
  const [recorded] = await database.query<{ refusals: number }>(
    'select (count(*) + sum(left_out))::int as refusals from refusals',
  );
  expect(refused).toBeGreaterThan(100);
  expect(recorded?.refusals).toBe(refused);
});
