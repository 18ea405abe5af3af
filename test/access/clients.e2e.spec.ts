import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { TokenEntry } from '../../src/access/access-entries.js';
import { startProcess } from '../agent/agent-process.js';
import { cleanUp, newFolder } from '../agent/running-agent.js';
import { bearer, sha256Of, TestAccessFile } from '../support/access.js';
import { runLine } from '../support/command-line.js';
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
