import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { base64url, SignJWT } from 'jose';

import { ROUTES } from '../../src/access/roles.js';
import { bearer, newToken, TestAccessFile } from '../support/access.js';
import { startApp, type TestApp } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventually, type Json } from '../support/http.js';
import { AUDIENCE, newKey, TestIssuer } from '../support/issuer.js';
import { appendsNothing, expectProblem } from '../support/problem.js';
import { EventStream } from '../support/sse.js';

const root = newToken();
const OPERATOR = { roles: ['operator'] };
const seconds = (): number => Math.floor(Date.now() / 1000);

let issuer: TestIssuer;
let database: TestDatabase;
let file: TestAccessFile;
let env: Record<string, string>;
let service: TestApp;

beforeAll(async () => {
  issuer = await TestIssuer.start();
  database = await createDatabase();
  file = await TestAccessFile.make([{ name: 'root', role: 'admin', token: root }]);
  env = {
    ...issuer.env,
    ACCESS_FILE: file.path,
    OIDC_FLEETS_CLAIM: 'fleets',
    TRUST_PROXY: 'loopback',
  };
  service = await startApp(env, database);
  await service.api.send('PUT', '/fleets/blue', { headers: bearer(root) });
});
afterAll(async () => {
  await service.close();
  await issuer.close();
  await database.drop();
  await file.remove();
});

const kill = async ({ api }: TestApp, token: string, fleet = 'default') =>
  api.post(`/lora/disable?fleet=${fleet}`, undefined, bearer(token));

it('a token of the issuer is somebody, with its roles and fleets', async () => {
  const token = await issuer.sign({ sub: 'u-17', name: 'Ana', fleets: ['blue'], ...OPERATOR });
  const killed = await kill(service, token, 'blue');
  expect(killed).toMatchObject({ status: 200, body: { last_actor: `oidc:${issuer.url}/u-17` } });
  const event = await service.api.get(`/lora/history/${String(killed.body.generation)}`, bearer(token));
  expect(event.body).toMatchObject({ actor: `oidc:${issuer.url}/u-17`, auth: 'oidc' });
  // Beside the actor stands how the issuer calls it: then, not now.
  const nameOf = async (generation: unknown): Promise<unknown> => {
    const event = await service.api.get(`/lora/history/${String(generation)}`, bearer(token));
    return (event.body as { actor_name?: unknown }).actor_name;
  };
  await eventually(async () => (await nameOf(killed.body.generation)) === 'Ana');
  // When a name was seen is known to the quarter of a second.
  await database.query('select pg_sleep(0.3)');
  const renamed = await issuer.sign({ sub: 'u-17', name: 'Ana B.', fleets: ['blue'], ...OPERATOR });
  const again = await kill(service, renamed, 'blue');
  await eventually(async () => (await nameOf(again.body.generation)) === 'Ana B.');
  expect(await nameOf(killed.body.generation)).toBe('Ana');
  const { body } = await service.api.get('/lora/history?limit=2', bearer(token));
  expect(body.events).toMatchObject([
    { actor_name: 'Ana B.', actor: `oidc:${issuer.url}/u-17` },
    { actor_name: 'Ana' },
  ]);
  // That of a token of the access file, which has no other name.
  expect(await nameOf(2)).toBeUndefined();
  const names = await database.query("select name from caller_names where actor like '%/u-17' order by id");
  expect(names).toEqual([{ name: 'Ana' }, { name: 'Ana B.' }]);
  expect((await kill(service, token)).status).toBe(403);
  const all = await issuer.sign({ fleets: '*', roles: 'breaker' });
  expect((await kill(service, all)).status).toBe(200);
  expect((await service.api.get('/lora/history', bearer(all))).status).toBe(403);
  const none = await issuer.sign({ fleets: '*' });
  expectProblem(await service.api.get('/lora/status', bearer(none)), 'forbidden', '/lora/status');
});

/** An unsigned token, and one signed with what is public as if it were a secret. */
const unsigned = (claims: object): string =>
  `${base64url.encode(JSON.stringify({ alg: 'none' }))}.${base64url.encode(JSON.stringify(claims))}.`;
const claimsNow = () => ({
  iss: issuer.url,
  aud: AUDIENCE,
  sub: 'eve',
  exp: seconds() + 300,
  fleets: '*',
  roles: ['admin'],
});

const BAD: readonly (readonly [string, () => Promise<string> | string])[] = [
  ['with alg none', () => unsigned(claimsNow())],
  ['of another issuer', () => issuer.sign({ ...claimsNow(), iss: 'https://evil.example' })],
  ['of no issuer', () => issuer.sign({ ...claimsNow(), iss: undefined })],
  ['for another audience', () => issuer.sign({ ...claimsNow(), aud: 'another' })],
  ['for no audience', () => issuer.sign({ ...claimsNow(), aud: undefined })],
  ['that has expired', () => issuer.sign({ ...claimsNow(), exp: seconds() - 60 })],
  ['that never expires', () => issuer.sign({ ...claimsNow(), exp: undefined })],
  ['that is not good yet', () => issuer.sign({ ...claimsNow(), nbf: seconds() + 60 })],
  ['of nobody', () => issuer.sign({ ...claimsNow(), sub: undefined })],
  ['signed by an unknown key', async () => issuer.sign(claimsNow(), await newKey('another'))],
  ['signed by another key of that name', async () => issuer.sign(claimsNow(), await newKey('one'))],
  [
    'with its claims exchanged',
    async () => {
      const [head = '', , signature = ''] = (await issuer.sign(claimsNow())).split('.');
      return `${head}.${base64url.encode(JSON.stringify({ ...claimsNow(), sub: 'root' }))}.${signature}`;
    },
  ],
  [
    'signed with a shared secret',
    () =>
      new SignJWT(claimsNow())
        .setProtectedHeader({ alg: 'HS256', kid: 'one' })
        .sign(new TextEncoder().encode('secret'.repeat(8))),
  ],
  ['that is none', () => 'a.b.c'],
];

/** Each command, as the table of routes names it. */
const COMMANDS = Object.entries(ROUTES)
  .filter(([, rule]) => typeof rule === 'object' && ['disable', 'operate', 'deploy'].includes(rule.needs))
  .map(([call]) => call)
  .sort();

describe.each(BAD)('a token %s', (name, make) => {
  it('is 401 at every command, appends nothing, and is one refusal each', async () => {
    // From an address of its own: so many attempts from one would be too many.
    const address = `192.0.2.${BAD.findIndex(([each]) => each === name)}`;
    const headers = {
      ...bearer(await make()),
      'x-forwarded-for': address,
      'content-type': 'application/json',
    };
    expect(COMMANDS.length).toBeGreaterThan(5);
    await appendsNothing(database, async () => {
      for (const call of COMMANDS) {
        const [method = '', route = ''] = call.split(' ');
        const path = route.replace(':version', 'v9').replace(':fleet', 'green');
        const reply = await service.api.send(method, path, { headers });
        expectProblem(reply, 'unauthenticated', path);
        expect(reply.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"');
      }
    });
    const recorded = await eventually(async () => {
      const rows = await refusalsFrom(address);
      return rows.length >= COMMANDS.length && rows;
    });
    expect(recorded).toEqual(
      COMMANDS.map((call) => ({ call, actor: 'anonymous', code: 'unauthenticated', left_out: 0 })),
    );
  });
});

const refusalsFrom = (address: string) =>
  database.query<Json>(
    'select call, actor, code, left_out from refusals where remote_address = $1 order by call collate "C"',
    [address],
  );

it('what a token holds open ends when it expires', async () => {
  // Clocks may differ by 5 s.
  const exp = seconds() - 1;
  const stream = await EventStream.open(
    service.api.url,
    '/lora/stream',
    bearer(await issuer.sign({ exp, fleets: '*', ...OPERATOR })),
  );
  await stream.first(1);
  await stream.end();
  expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000);
});

it('whose tokens are taken is on record', async () => {
  const { body } = await service.api.get('/audit/access', bearer(root));
  expect(body.changes).toMatchObject([
    {
      access: 'required',
      oidc: { issuer: issuer.url, audience: AUDIENCE, roles_claim: 'roles', fleets_claim: 'fleets' },
    },
  ]);
  const other = await startApp({ ...env, OIDC_ROLES_CLAIM: 'groups' }, database);
  await other.close();
  const now = await service.api.get('/audit/access', bearer(root));
  expect(now.body.changes).toMatchObject([{ oidc: { roles_claim: 'groups' }, came: [], went: [] }, {}]);
  const at = await service.api.get('/audit/access?at=2100-01-01T00:00:00Z', bearer(root));
  expect(at.body.oidc).toMatchObject({ roles_claim: 'groups' });
});

describe('while the issuer is down', () => {
  it('a kill is taken, by the keys that are known or by a token of the file', async () => {
    issuer.leave();
    expect((await kill(service, await issuer.sign({ sub: 'late', fleets: '*', ...OPERATOR }))).status).toBe(
      200,
    );
    expect((await kill(service, root)).status).toBe(200);
  });

  it('a replica starts; it takes the file at once, says that it knows no keys, and finds them when they are back', async () => {
    const started = await startApp(env, database);
    try {
      const token = await issuer.sign({ fleets: '*', ...OPERATOR });
      expect((await kill(started, root)).status).toBe(200);
      const refused = await kill(started, token);
      expectProblem(refused, 'issuer-unavailable', '/lora/disable');
      expect(refused.headers.get('retry-after')).toBe('1');
      const { body } = await started.api.get('/health');
      expect(body).toMatchObject({ status: 'degraded', components: { access: 'issuer-away' } });
      issuer.comeBack();
      await eventually(async () => (await kill(started, token)).status === 200);
      expect((await started.api.get('/health')).body).toMatchObject({ components: { access: 'required' } });
    } finally {
      await started.close();
    }
  });
});

it('the issuer alone is enough to say who may', async () => {
  const alone = await startApp(issuer.env, database);
  try {
    expect((await alone.api.get('/lora/status')).status).toBe(401);
    await eventually(async () => (await kill(alone, await issuer.sign(OPERATOR))).status === 200);
  } finally {
    await alone.close();
  }
});
