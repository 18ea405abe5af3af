import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';

import type { CheckpointBody, CheckpointsBody } from '../../src/audit/audit.dto.js';
import { KEY_NAME, openCheckpoint, signCheckpoint } from '../../src/audit/core/checkpoint.js';
import { sha256 } from '../../src/audit/core/leaf.js';
import { rootOf } from '../../src/audit/core/merkle.js';
import { generateSignerKey } from '../../src/audit/core/note.js';
import { BLOCK } from '../../src/audit/audit.store.js';
import { Notary } from '../../src/audit/notary.js';
import { lengthen } from './long-log.js';
import type { OpenApp } from '../support/start.js';
import { startOpenApp } from '../support/open-app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/http.js';
import { lockHead } from '../support/head-lock.js';
import { Metrics } from '../support/metrics.js';
import { expectInvalid, expectProblem, headOf } from '../support/problem.js';

const key = generateSignerKey(KEY_NAME);
let folder: string;
let env: Record<string, string>;
let database: TestDatabase;
let services: OpenApp[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'audit-'));
  await writeFile(join(folder, 'key'), key.text);
  // Checkpoints are taken at the start and when they are asked for.
  env = { AUDIT_SIGNING_KEY_FILE: join(folder, 'key'), AUDIT_CHECKPOINT_SECONDS: '100000' };
  database = await createDatabase();
});
afterEach(async () => {
  await Promise.all(services.map((service) => service.close()));
  services = [];
});
afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true });
});

async function start(more: Record<string, string> = {}): Promise<OpenApp> {
  const service = await startOpenApp({ ...env, ...more }, database);
  services.push(service);
  return service;
}

const asked = async ({ api }: OpenApp, query: string): Promise<CheckpointBody> =>
  (await api.get(`/audit/checkpoint${query}`)).body as unknown as CheckpointBody;
const fresh = (service: OpenApp) => asked(service, '?fresh=true');
const newest = (service: OpenApp) => asked(service, '');
const deploy = ({ api }: OpenApp, version: string) => api.post('/lora/deploy', { adapter_version: version });

/** Keeps passes that begin from now on from reading the checkpoints. */
async function holdPasses() {
  const holder = await database.connect();
  await holder.query('begin; lock table checkpoints in access exclusive mode');
  const waiting = () =>
    database.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
       and application_name = 'lora-control-plane audit'`,
    );
  return {
    /** Until one waits. */
    reached: () => eventually(async () => (await waiting()).length === 1),
    /** After so many seconds. */
    end: async (seconds = 0) => {
      await holder.query('select pg_sleep($1)', [seconds]);
      await holder.query('rollback');
      await holder.end();
    },
  };
}

/** The root over the log's own leaves, by the core. */
async function rootNow(): Promise<string> {
  const rows = await database.query<{ leaf_hash: Buffer }>('select leaf_hash from events order by position');
  return rootOf(rows.map(({ leaf_hash }) => leaf_hash)).toString('hex');
}

describe('a checkpoint', () => {
  it('is taken at the start, says what the log is, and is printed', async () => {
    const service = await start();
    await eventually(async () => (await service.api.get('/audit/checkpoint')).status === 200);
    const body = await newest(service);
    const size = await headOf(database);
    expect(body).toStrictEqual({
      log_id: (await service.api.get('/lora/status')).body.log_id,
      size,
      root: await rootNow(),
      key: key.verifier.text,
      note: expect.any(String) as unknown,
      taken_at: expect.stringMatching(/^20.*\.\d{6}Z$/) as unknown,
    });
    const signed = openCheckpoint(body.note, [key.verifier]);
    expect(signed).toStrictEqual({
      logId: body.log_id,
      size,
      root: Buffer.from(body.root, 'hex'),
      continues: null,
    });
    expect(service.logged).toContain(`Checkpoint of ${size} events: ${JSON.stringify(body.note)}`);
    expect((await service.api.get('/health')).body).toMatchObject({ components: { audit: 'ok' } });
  });

  it('is taken on demand, only where there is something new', async () => {
    const service = await start();
    const first = await fresh(service);
    expect(await fresh(service)).toStrictEqual(first);
    await deploy(service, 'v1');
    expect(await newest(service)).toStrictEqual(first);
    const second = await fresh(service);
    expect(second).toMatchObject({ size: first.size + 1, root: await rootNow() });
    expect(await newest(service)).toStrictEqual(second);
  });

  it('is taken by itself, again and again, and health says when that takes longer than it should', async () => {
    const service = await start({ AUDIT_CHECKPOINT_SECONDS: '1' });
    await deploy(service, 'v2');
    const first = await headOf(database);
    await eventually(async () => (await newest(service)).size === first);
    await eventually(async () => (await Metrics.of(service.api)).value('lora_audit_slow') === 0);
    const held = await holdPasses();
    await deploy(service, 'v3');
    await held.reached();
    // While it hangs.
    await eventually(async () => (await Metrics.of(service.api)).value('lora_audit_slow') === 1);
    await held.end();
    expect((await service.api.get('/health')).body).toMatchObject({
      status: 'degraded',
      components: { audit: 'slow' },
    });
    await eventually(async () => (await newest(service)).size === first + 1);
  });

  it('costs no more when many ask for one: they share a pass, which begins when the last one has rested', async () => {
    const service = await start();
    await fresh(service);
    const passes = jest.spyOn(service.app.get(Notary), 'pass');
    const held = await holdPasses();
    const asking = fresh(service);
    await held.reached();
    const others = Array.from({ length: 20 }, () => fresh(service));
    await held.end(0.2);
    const ended = performance.now();
    const answers = [await asking, ...(await Promise.all(others))];
    // Three times the 200 ms that it took at least, less what has gone by before `ended`.
    expect(performance.now() - ended).toBeGreaterThan(500);
    expect(passes).toHaveBeenCalledTimes(2);
    expect(new Set(answers.map(({ note }) => note)).size).toBe(1);
  });

  it('of one size is signed once, whoever signs first', async () => {
    const [one, two] = [await start(), await start()];
    for (let round = 0; round < 10; round++) {
      await deploy(one, `race-${round}`);
      await one.api.post('/lora/enable');
      const [first, second] = await Promise.all([fresh(one), fresh(two)]);
      expect(second).toStrictEqual(first);
    }
    const [row] = await database.query<{ sizes: number; kept: number }>(
      'select count(distinct size)::int as sizes, count(*)::int as kept from checkpoints',
    );
    expect(row?.kept).toBe(row?.sizes);
  });

  it('is never in the way of a command: none waits for it, and it waits for none', async () => {
    const service = await start();
    await fresh(service);
    const held = await lockHead(database);
    try {
      const kill = service.api.post('/lora/disable');
      await held.waiters(1);
      expect(await fresh(service)).toMatchObject({ size: await headOf(database) });
      await held.release();
      expect((await kill).status).toBe(200);
    } finally {
      await held.release();
    }
    const passes = await holdPasses();
    const waiting = fresh(service);
    await passes.reached();
    expect((await service.api.post('/lora/disable')).status).toBe(200);
    await passes.end();
    expect((await waiting).size).toBeGreaterThan(0);
  });

  it('is listed, newest first, in pages', async () => {
    const service = await start();
    const last = await fresh(service);
    const page = async (query: string) =>
      (await service.api.get(`/audit/checkpoints${query}`)).body as unknown as CheckpointsBody;
    const all = (await page('')).checkpoints;
    expect(all[0]).toStrictEqual(last);
    const seen: unknown[] = [];
    for (let cursor = ''; ;) {
      const { checkpoints, next_cursor } = await page(`?limit=5${cursor}`);
      seen.push(...checkpoints);
      if (next_cursor === null) break;
      cursor = `&cursor=${next_cursor}`;
    }
    expect(seen).toStrictEqual(all);
    expectInvalid(await service.api.get('/audit/checkpoints?cursor=x'), 'cursor', '/audit/checkpoints');
    expectInvalid(await service.api.get('/audit/checkpoint?fresh=1'), 'fresh', '/audit/checkpoint');
  });
});

describe('the files', () => {
  it('are written beside the table, once each, also by a replica that did not sign', async () => {
    const [ours, theirs] = [await mkdtemp(join(folder, 'a-')), await mkdtemp(join(folder, 'b-'))];
    const [one, two] = [
      await start({ AUDIT_CHECKPOINT_DIR: ours }),
      await start({ AUDIT_CHECKPOINT_DIR: theirs }),
    ];
    await deploy(one, 'filed');
    await one.api.post('/lora/disable');
    const { log_id, size, note } = await fresh(one);
    await fresh(two);
    const name = `${log_id}-${size}.checkpoint`;
    for (const each of [ours, theirs]) {
      expect(await readFile(join(each, name), 'utf8')).toBe(note);
      expect((await readdir(each)).filter((other) => other.startsWith('.'))).toStrictEqual([]);
    }
  });

  it('are never written over', async () => {
    const dir = await mkdtemp(join(folder, 'c-'));
    const service = await start({ AUDIT_CHECKPOINT_DIR: dir });
    const { log_id, size } = await fresh(service);
    const file = join(dir, `${log_id}-${size}.checkpoint`);
    await writeFile(file, 'of somebody else');
    expect((await service.api.get('/audit/checkpoint?fresh=true')).status).toBe(503);
    expect(await readFile(file, 'utf8')).toBe('of somebody else');
    expect((await service.api.get('/health')).body).toMatchObject({ components: { audit: 'failing' } });
    expect(service.logged.join('\n')).toContain(`-${size}.checkpoint is in the way`);
    expect(service.logged.filter((line) => line.includes('is passed over'))).toHaveLength(1);
  });

  it('whose largest cannot be checked leave the next one to be', async () => {
    const dir = await mkdtemp(join(folder, 'd-'));
    const service = await start({ AUDIT_CHECKPOINT_DIR: dir });
    const { log_id, size, note } = await fresh(service);
    await writeFile(join(dir, `${log_id}-${size + 5}.checkpoint`), note);
    await writeFile(join(dir, `${log_id}-${size + 6}.checkpoint`), note.slice(0, -9));
    await writeFile(join(dir, 'README'), 'of somebody else');
    expect((await fresh(service)).size).toBe(size);
    // A longer log than this one was signed.
    const longer = signCheckpoint({ logId: log_id, size: size + 4, root: sha256('x'), continues: null }, key);
    await writeFile(join(dir, `${log_id}-${size + 4}.checkpoint`), longer);
    expectProblem(await service.api.get('/audit/checkpoint?fresh=true'), 'past-changed', '/audit/checkpoint');
  });

  it('that cannot be written are an alarm, and no reason not to go on', async () => {
    const dir = join(folder, 'absent');
    const service = await start({ AUDIT_CHECKPOINT_DIR: dir });
    expectProblem(
      await service.api.get('/audit/checkpoint?fresh=true'),
      'log-unavailable',
      '/audit/checkpoint',
    );
    expect((await service.api.get('/health')).body).toMatchObject({
      status: 'degraded',
      components: { audit: 'failing' },
    });
    expect(service.logged.join('\n')).toContain('The log cannot be checked: ');
    expect((await service.api.post('/lora/disable')).status).toBe(200);
  });
});

describe('the key', () => {
  it('is named, and so are those that have signed before it', async () => {
    const other = generateSignerKey(KEY_NAME);
    await writeFile(join(folder, 'other'), other.text);
    const service = await start({ AUDIT_SIGNING_KEY_FILE: join(folder, 'other') });
    await deploy(service, 'by-another-key');
    await service.api.post('/lora/disable');
    expect((await fresh(service)).key).toBe(other.verifier.text);
    const warning = `The newest checkpoint was signed by ${key.verifier.text}, not by the key of this replica.`;
    expect(service.logged.filter((line) => line === warning)).toHaveLength(1);
    expect((await service.api.get('/audit/key')).body).toStrictEqual({
      key: other.verifier.text,
      earlier: [key.verifier.text],
    });
    const again = await start();
    await service.api.post('/lora/disable');
    expect((await fresh(again)).key).toBe(key.verifier.text);
  });

  it('that is not there is said, and nothing is signed', async () => {
    const service = await start({ AUDIT_SIGNING_KEY_FILE: '' });
    expect(service.logged).toContain('No checkpoints are signed: AUDIT_SIGNING_KEY_FILE is not set.');
    for (const path of [
      '/audit/checkpoint',
      '/audit/checkpoint?fresh=true',
      '/audit/checkpoints',
      '/audit/key',
    ])
      expectProblem(await service.api.get(path), 'no-signing-key', path.split('?')[0] ?? '');
    expect((await service.api.get('/health')).body).toMatchObject({
      status: 'ok',
      components: { audit: 'off' },
    });
  });
});

// Last: a pass takes longer from here on.
it('a checkpoint covers a log that is longer than a block of the tree', async () => {
  await lengthen(database, 2 * BLOCK);
  const service = await start();
  for (const version of ['v4', 'v5']) {
    const { size, root } = await fresh(service);
    expect([size, root]).toStrictEqual([await headOf(database), await rootNow()]);
    await deploy(service, version);
  }
  // With a new leaf nothing but what was seen before speaks against it.
  await database.query(
    `alter table events disable trigger user;
     update events set body = replace(body, '"source":null', '"source":"x"') where position = 1000;
     update events set leaf_hash = sha256('\\x00'::bytea || int8send(position)
       || int8send((extract(epoch from recorded_at) * 1000000)::bigint) || sha256(convert_to(body, 'UTF8')))
       where position = 1000`,
  );
  const { body } = await service.api.get('/audit/checkpoint?fresh=true');
  expect(body.detail).toBe(`The events 1 to ${BLOCK} are not what they were.`);
});
