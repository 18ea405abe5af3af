import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { TokenEntry } from '../../src/access/access-entries.js';
import { startProcess } from '../agent/agent-process.js';
import { cleanUp, newFolder } from '../agent/running-agent.js';
import { bearer, sha256Of, TestAccessFile } from '../support/access.js';
import { type Ran, runLine, withoutChance } from '../support/command-line.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventually, type Json } from '../support/http.js';
import { type Replica, startReplica } from '../support/replica.js';

interface Made {
  readonly token: string;
  readonly entry: TokenEntry;
}

/** A token as an operator makes one. */
async function make(...options: string[]): Promise<Made> {
  const { code, out, err } = await runLine(['--json', 'token', 'create', ...options]);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return JSON.parse(out) as Made;
}

let database: TestDatabase;
let file: TestAccessFile;
let service: Replica;
let root: Made;

const put = (...made: readonly Made[]): Promise<void> =>
  file.replaceText(JSON.stringify({ tokens: made.map(({ entry }) => entry) }));
const works = ({ token }: Made): Promise<boolean> =>
  eventually(async () => (await service.api.get('/lora/status', bearer(token))).status === 200);

beforeAll(async () => {
  database = await createDatabase();
  root = await make('--name', 'root', '--role', 'admin');
  file = await TestAccessFile.make([]);
  await put(root);
  service = await startReplica({ env: { DATABASE_URL: database.url, ACCESS_FILE: file.path } });
});
afterEach(cleanUp);
afterAll(async () => {
  await service.stop();
  await database.drop();
  await file.remove();
});

it('a token is made of 256 random bits, shown once, and known to the file by its hash', async () => {
  const words = ['token', 'create', '--name', 'ci', '--role', 'deployer', '--fleet', 'a', '--fleet', 'b'];
  const { code, out, err } = await runLine([...words, '--expires', '2100-01-01T00:00:00Z']);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const [token = ''] = /lora_[\w-]+/.exec(out) ?? [];
  expect(Buffer.from(token.slice('lora_'.length), 'base64url')).toHaveLength(32);
  expect(out.split(token)).toHaveLength(2);
  expect(JSON.parse(/\{.*\}/.exec(out)?.[0] ?? '')).toEqual({
    name: 'ci',
    role: 'deployer',
    fleets: ['a', 'b'],
    sha256: sha256Of(token),
    expires_at: '2100-01-01T00:00:00Z',
  });
});

it.each([
  [['--role', 'admin'], "required option '--name <name>' not specified"],
  [['--name', 'x'], "required option '--role <role>' not specified"],
  [['--name', 'x', '--role', 'root'], 'Allowed choices are viewer, engine'],
  [['--name', 'X', '--role', 'admin'], 'lower-case letters'],
  [['--name', 'x', '--role', 'admin', '--fleet', '*'], 'fleet'],
  [['--name', 'x', '--role', 'admin', '--expires', 'soon'], 'a time such as'],
  [['--name', 'x', '--role', 'admin', '--expires', '2020-01-01T00:00:00Z'], 'has passed'],
])('no token for %j', async (options, why) => {
  const { code, out, err } = await runLine(['token', 'create', ...options]);
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toContain(why);
});

it('loractl shows its token, from a file or the environment, and is told in one line when it is not good', async () => {
  const ana = await make('--name', 'ana', '--role', 'viewer');
  await put(root, ana);
  await works(ana);
  const folder = await newFolder();
  const tokenFile = join(folder, 'token');
  await writeFile(tokenFile, `${ana.token}\n`);
  const url = { LORA_URL: service.api.url };

  expect((await runLine(['status'], { ...url, LORA_TOKEN: ana.token })).code).toBe(0);
  expect((await runLine(['--token-file', tokenFile, 'status'], url)).code).toBe(0);
  expect((await runLine(['status'], { ...url, LORA_TOKEN_FILE: tokenFile })).code).toBe(0);

  const nobody = await runLine(['kill'], url);
  expect(nobody).toMatchObject({ code: 1, out: '' });
  expect(nobody.err).toBe(
    'loractl: refused: Send Authorization: Bearer <token>. ' +
      'Give it as --token-file, LORA_TOKEN_FILE or LORA_TOKEN. Nothing was changed.\n',
  );
  const wrong = await runLine(['kill'], { ...url, LORA_TOKEN: 'lora_wrong' });
  expect(wrong.code).toBe(1);
  expect(wrong.err).toMatch(/^loractl: refused: The token is not known, or it is no longer good\. .*\n$/);
  const forbidden = await runLine(['--token-file', tokenFile, 'kill'], url);
  expect(forbidden).toMatchObject({ code: 1, out: '' });
  expect(forbidden.err).toBe(
    'loractl: refused: This needs one of the roles operator, breaker, admin. Nothing was changed.\n',
  );
  const missing = await runLine(['--token-file', join(folder, 'none'), 'kill'], url);
  expect(missing.code).toBe(2);
  expect(missing.err).toMatch(/none cannot be read \(ENOENT\)\. Nothing was sent\.\n$/);

  const killed = await runLine(['kill'], { ...url, LORA_TOKEN: root.token });
  expect(killed.code).toBe(0);
  expect(killed.out).toContain('by token:root');
  await runLine(['enable', '--yes'], { ...url, LORA_TOKEN: root.token });
});

it('loractl says who could, and who tried and was refused', async () => {
  const [audit, part] = await Promise.all([
    make('--name', 'audit', '--role', 'auditor', '--expires', '2100-01-01T00:00:00Z'),
    make('--name', 'part', '--role', 'auditor', '--fleet', 'elsewhere'),
  ]);
  await put(root, audit, part);
  await works(audit);
  const ask = ({ token }: Made, ...words: string[]) =>
    runLine(words, { LORA_URL: service.api.url, LORA_TOKEN: token });
  const settled = (text: string) =>
    withoutChance(text)
      .replaceAll(/--cursor \d+/g, '--cursor N')
      .replaceAll(/since \S+ \S+Z/g, 'since TIME');
  const screen = ({ code, out, err }: Ran) => ({ code, out: settled(out), err: settled(err) });

  expect((await ask(audit, 'kill')).code).toBe(1);
  const tried = (...words: string[]) =>
    ask(audit, 'refusals', '--actor', 'token:audit', '--code', 'forbidden', ...words);
  await eventually(async () => (await tried()).out !== 'No refusals.\n');
  expect(screen(await tried())).toMatchInlineSnapshot(`
   {
     "code": 0,
     "err": "",
     "out": "TIME  AGO  ACTOR  FROM  CALL  FLEET  REFUSED FOR  LEFT OUT
   DATE TIME  N s  token:audit  127.0.0.1  POST /lora/disable  default  forbidden
   ",
   }
  `);
  // Who is not known has a line too, and what is older a page.
  const { out, err } = await ask(audit, 'refusals', '--limit', '1');
  expect(out.split('\n')).toHaveLength(3);
  expect(settled(err)).toBe('There are older ones: --cursor N, or --all.\n');
  const all = JSON.parse((await ask(audit, 'refusals', '--limit', '1', '--all', '--json')).out) as {
    refusals: Json[];
  };
  expect(all).toMatchObject({ next_cursor: null });
  expect(all.refusals.map(({ actor }) => actor)).toEqual(
    expect.arrayContaining(['token:audit', 'token:ana', 'anonymous']),
  );
  expect(screen(await ask(part, 'refusals')).out).toMatchInlineSnapshot(`
   "Only of the fleets that you may see (not all there are):
   No refusals.
   "
  `);
  // No list of somebody who sees a part looks like the whole.
  const nothing = ['No events.', '0 events', 'No engine stands registered.', 'No fleets.'];
  const lists = ['history', 'summary', 'engines', 'fleets'].map(async (list) => {
    const told = await Promise.all([ask(part, list), ask(part, list, '--json')]);
    return [told[0].out, (JSON.parse(told[1].out) as Json).scope];
  });
  expect(await Promise.all(lists)).toEqual(
    nothing.map((none) => [`Only of the fleets that you may see (not all there are):\n${none}\n`, 'partial']),
  );
  expect(screen(await ask(root, 'refusals', '--until', '2020-01-01T00:00:00Z')).out).toBe('No refusals.\n');
  expect((await ask(audit, 'refusals', '--code', 'no-fun')).code).toBe(2);

  const newest = () => ask(audit, 'access', '--limit', '1');
  await eventually(async () => (await newest()).out.includes('token:part'));
  expect(screen(await newest())).toMatchInlineSnapshot(`
   {
     "code": 0,
     "err": "There are older ones: --cursor N, or --all.
   ",
     "out": "TIME  AGO  ACCESS  CHANGE  ACTOR  ROLE  FLEETS  ENDS
   DATE TIME  N s  required  came  token:audit  auditor  *  2100-01-01 00:00:00Z
   DATE TIME  N s  required  came  token:part  auditor  elsewhere  never
   DATE TIME  N s  required  went  token:ana  viewer  *  never
   ",
   }
  `);
  const now = new Date().toISOString();
  expect(screen(await ask(audit, 'access', '--at', '2999-01-01T00:00:00Z'))).toMatchInlineSnapshot(`
   {
     "code": 0,
     "err": "",
     "out": "Access required, since TIME
   ACTOR  ROLE  FLEETS  ENDS  MAY
   token:part  auditor  elsewhere  never  status stream read export audit metrics describe
   token:root  admin  *  never  status stream read report retire deploy disable operate export audit metrics describe
   ",
   }
  `);
  expect(JSON.parse((await ask(audit, 'access', '--at', now, '--json')).out)).toMatchObject({
    access: 'required',
    tokens: [{ name: 'audit' }, { name: 'part' }, { name: 'root' }],
  });
  expect((await ask(audit, 'access', '--at', '2020-01-01T00:00:00Z')).code).toBe(1);
  expect((await ask(audit, 'access', '--at', now, '--limit', '1')).code).toBe(2);
  const changes = JSON.parse((await ask(audit, 'access', '--all', '--json')).out) as { changes: Json[] };
  expect(changes.changes.at(-1)).toMatchObject({ came: [{ name: 'root' }], went: [] });
});

it('an agent that is not let in says so, keeps its state, and goes on when its file has a good token', async () => {
  const engine = await make('--name', 'gpu-7', '--role', 'engine');
  await put(root, engine);
  await works(engine);
  const tokenFile = join(await newFolder(), 'token');
  await writeFile(tokenFile, 'lora_wrong');
  const agent = await startProcess({
    LORA_URL: service.api.url,
    ENGINE_DRIVER: 'none',
    LORA_TOKEN_FILE: tokenFile,
    HEARTBEAT_SECONDS: '0.2',
  });
  const refusals = () =>
    agent
      .lines()
      .filter(({ message }) => message === 'control plane refuses this agent: kills do not arrive');
  await eventually(() => refusals().length === 1);
  expect(refusals()[0]).toMatchObject({ level: 'error', reason: expect.stringContaining('401') as unknown });

  await writeFile(tokenFile, engine.token);
  const rows = async () => {
    const { body } = await service.api.get('/engines', bearer(root.token));
    return body.engines as unknown as Json[];
  };
  await eventually(async () => (await rows()).length === 1);
  expect(await rows()).toMatchObject([{ id: 'engine-1', owner: 'token:gpu-7' }]);
  const generation = async () => (await agent.api.get('/effective')).body.generation as unknown as number;
  await eventually(async () => (await generation()) > 0);

  // Taken away: the stream ends, the state stays.
  const before = await generation();
  await put(root);
  await eventually(() => refusals().length === 2);
  await service.api.post('/lora/disable', undefined, bearer(root.token));
  expect(await generation()).toBe(before);

  await put(root, engine);
  await eventually(async () => (await generation()) > before);
  expect((await agent.api.get('/effective')).body).toMatchObject({ enabled: false });
});

it('no token ever stood in what the service has said', () => {
  expect(service.output()).toContain('The access file has');
  expect(service.output()).not.toContain('lora_');
});
