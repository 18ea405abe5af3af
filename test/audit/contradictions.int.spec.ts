import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';

import type { CheckpointBody, CheckpointsBody } from '../../src/audit/audit.dto.js';
import { AuditStore } from '../../src/audit/audit.store.js';
import { CheckpointFiles } from '../../src/audit/checkpoint-files.js';
import { Contradiction } from '../../src/audit/contradiction.js';
import { KEY_NAME, openCheckpoint } from '../../src/audit/core/checkpoint.js';
import { generateSignerKey } from '../../src/audit/core/note.js';
import { Notary } from '../../src/audit/notary.js';
import { readSettings } from '../../src/config/settings.js';
import { adoptLog } from '../../src/event-store/adopt.js';
import type { OpenApp } from '../support/start.js';
import { startOpenApp } from '../support/open-app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/http.js';
import { Metrics } from '../support/metrics.js';
import { expectProblem, headOf } from '../support/problem.js';

/** The tables of the log, which the tests change as a superuser who has taken the triggers away. */
const TABLES = ['events', 'fleet_states', 'checkpoints', 'command_keys', 'log_adoptions'];

const key = generateSignerKey(KEY_NAME);
let folder: string;
let database: TestDatabase;
let services: OpenApp[] = [];
let stores: AuditStore[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'audit-'));
  await writeFile(join(folder, 'key'), key.text);
  database = await createDatabase();
  const service = await start();
  for (let version = 1; version <= 6; version++)
    await service.api.post('/lora/deploy', { adapter_version: `v${version}` });
  await fresh(service);
  await service.close();
  services = [];
  for (const table of [...TABLES, 'log_head'])
    await database.query(
      `alter table ${table} disable trigger user; create table kept_${table} as select * from ${table}`,
    );
  await database.query(
    `alter table events alter leaf_hash drop not null, drop constraint events_position_check`,
  );
});
afterEach(async () => {
  await Promise.all(services.map((service) => service.close()));
  await Promise.all(stores.map((store) => store.beforeApplicationShutdown()));
  services = [];
  stores = [];
  for (const table of TABLES)
    await database.query(
      `delete from ${table}; insert into ${table} overriding system value select * from kept_${table}`,
    );
  await database.query(
    'update log_head h set (log_id, position, recorded_at) = (select log_id, position, recorded_at from kept_log_head)',
  );
});
afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true });
});

async function start(more: Record<string, string> = {}): Promise<OpenApp> {
  const env = { AUDIT_SIGNING_KEY_FILE: join(folder, 'key'), AUDIT_CHECKPOINT_SECONDS: '100000', ...more };
  const service = await startOpenApp(env, database);
  services.push(service);
  return service;
}

const ask = ({ api }: OpenApp) => api.get('/audit/checkpoint?fresh=true');
const fresh = async (service: OpenApp) => (await ask(service)).body as unknown as CheckpointBody;
const noRest = () => Promise.resolve();
function notary(): Notary {
  const store = new AuditStore({ serviceUrl: database.url });
  stores.push(store);
  return new Notary(store, new CheckpointFiles(readSettings({})));
}
const checkpoints = async (): Promise<number> => (await database.query('select from checkpoints')).length;

/** What the alarms say; services of one process log to the same place. */
const alarms = (): string[] =>
  services.flatMap(({ logged }) =>
    logged.filter((line) => line.startsWith('THE PAST OF THE LOG HAS CHANGED: ')),
  );

async function expectRefused(service: OpenApp, why: RegExp): Promise<void> {
  const reply = await ask(service);
  expectProblem(reply, 'past-changed', '/audit/checkpoint');
  expect(reply.body.detail).toMatch(why);
  const { body } = await service.api.get('/health');
  expect(body).toMatchObject({ status: 'degraded', components: { audit: 'contradicted' } });
}

const LEAF = `sha256('\\x00'::bytea || int8send(position)
  || int8send((extract(epoch from recorded_at) * 1000000)::bigint) || sha256(convert_to(body, 'UTF8')))`;

describe.each([
  [
    'a byte of a body',
    `update events set body = replace(body, '"v3"', '"v8"') where position = 4`,
    /Event 4 is not as its hash says/,
  ],
  [
    'a time',
    `update events set recorded_at = recorded_at + interval '1 microsecond' where position = 2`,
    /Event 2 /,
  ],
  ['a column that copies the body', `update events set actor = 'eve' where position = 5`, /Event 5 /],
  ['a column that says nothing', `update events set reference = 'INC-1' where position = 3`, /Event 3 /],
  ['a leaf', `update events set leaf_hash = sha256('x') where position = 6`, /Event 6 /],
  ['a leaf that is gone', `update events set leaf_hash = null where position = 6`, /Event 6 /],
  ['a time that is none', `update events set recorded_at = '-infinity' where position = 2`, /Event 2 /],
  [
    'an event before the first',
    `insert into events select 0, recorded_at - interval '1 second', leaf_hash, body, gen_random_uuid(), type,
       fleet, adapter_version, from_version, to_version, enabled, reason, reference, actor from events where position = 1`,
    /begins with an event at position 0/,
  ],
  [
    'a log that it is said to continue',
    'insert into log_adoptions select log_id, gen_random_uuid(), 3 from log_head',
    /Which log this one continues, and from where, is not what the .*checkpoint/,
  ],
  [
    'an event that is gone',
    'delete from events where position = 3',
    /the events 1 to 7 should be there are 6/,
  ],
  [
    'two events in the place of each other',
    `update events set position = position + 100 where position in (3, 4);
     update events set position = 107 - position where position in (103, 104)`,
    /Event 3 /,
  ],
  [
    'an event more',
    `insert into events select position + 1, recorded_at + interval '1 second', leaf_hash, body, gen_random_uuid(), type,
       fleet, adapter_version, from_version, to_version, enabled, reason, reference, actor from events where position = 7`,
    /head of the log is at 7, and its last event at 8/,
  ],
  [
    'an end that is cut off',
    `delete from events where position > 5; delete from fleet_states where generation > 5;
     delete from command_keys where last_position > 5;
     update log_head set (position, recorded_at) = (select position, recorded_at from events where position = 5)`,
    /has 5 events, and .*7/,
  ],
  [
    'an event with all that hangs on it',
    `update events set body = replace(body, '"actor":"anonymous"', '"actor":"eve"'), actor = 'eve' where position = 4;
     update events set leaf_hash = ${LEAF}`,
    /The first 7 events are not those of/,
  ],
  [
    'a checkpoint',
    `update checkpoints set note = replace(note, E'\\n7\\n', E'\\n6\\n'), size = 6 where size = 7`,
    /checkpoint of size 6 in the table is not as it was signed/,
  ],
])('%s, changed by a superuser', (_, sql, why) => {
  it('is never signed over: by one who has seen it before, or has not', async () => {
    const [before, after] = [notary(), notary()];
    await before.pass(key, noRest);
    const kept = await checkpoints();
    await database.query(sql);
    for (const each of [before, after]) await expect(each.pass(key, noRest)).rejects.toThrow(why);
    expect(await checkpoints()).toBe(kept);
  });
});

it('a past that has changed is noticed by the next pass, nobody asking, and commands go on', async () => {
  const service = await start({ AUDIT_CHECKPOINT_SECONDS: '1' });
  const { note } = await fresh(service);
  await database.query(`update events set actor = 'eve' where position = 2`);
  await eventually(async () =>
    JSON.stringify((await service.api.get('/health')).body).includes('"contradicted"'),
  );
  expect((await service.api.get('/health')).body).toMatchObject({ status: 'degraded' });
  expect((await service.api.post('/lora/disable')).status).toBe(200);
  expect((await service.api.get('/health/ready')).status).toBe(200);
  expect((await Metrics.of(service.api)).value('lora_audit_contradicted')).toBe(1);
  // Nothing that speaks of the log as it is looks healthy, of events that nobody touched neither.
  for (const path of [
    '/audit/checkpoint',
    '/audit/proof/1',
    '/audit/proof/7',
    '/audit/consistency?from=1&to=7',
  ])
    expectProblem(await service.api.get(path), 'past-changed', path.split('?')[0] ?? '');
  // What was signed before is the evidence.
  const { checkpoints: kept } = (await service.api.get('/audit/checkpoints'))
    .body as unknown as CheckpointsBody;
  expect(kept.map((each) => each.note)).toContain(note);
  expect((await service.api.get('/audit/key')).body.key).toBe(key.verifier.text);
  // Mended behind its back it is not trusted either.
  await database.query(`update events set actor = 'anonymous' where position = 2`);
  await expectRefused(service, /Event 2 /);
  expect(alarms()).toStrictEqual([expect.stringMatching(/Event 2 /)]);
});

describe('a proof that is still read while the log is adopted', () => {
  const adopt = async () => {
    const owner = await database.connect();
    await adoptLog(owner);
    await owner.end();
  };
  /** One that waits until it is told to end. */
  async function slowProof(watcher: Notary): Promise<(error?: Error) => Promise<void>> {
    const kept = await watcher.pass(key, noRest);
    if (!kept) throw new Error('There is a log.');
    let end: (error?: Error) => void = () => undefined;
    const read = new Promise<void>((resolve, reject) => {
      end = (error) => {
        if (error) reject(error);
        else resolve();
      };
    });
    const proof = watcher.reading(kept.log_id, () => read);
    return (error) => {
      end(error);
      return proof;
    };
  }

  it('does not forget what was found out about the log since', async () => {
    const watcher = notary();
    const endProof = await slowProof(watcher);
    await adopt();
    await watcher.pass(key, noRest);
    await database.query(`update events set actor = 'eve' where position = 2`);
    await expect(watcher.pass(key, noRest)).rejects.toThrow(/Event 2/);
    await endProof();
    expect(watcher.contradiction?.message).toMatch(/Event 2/);
    await expect(watcher.pass(key, noRest)).rejects.toThrow(/Event 2/);
  });

  it('says nothing against the log that was adopted', async () => {
    const watcher = notary();
    const endProof = await slowProof(watcher);
    await adopt();
    await watcher.pass(key, noRest);
    await expect(endProof(new Contradiction('of the old one'))).rejects.toThrow('of the old one');
    expect(watcher.contradiction).toBeUndefined();
  });

  it('is not good when the log was found changed meanwhile', async () => {
    const watcher = notary();
    const endProof = await slowProof(watcher);
    await database.query(`update events set actor = 'eve' where position = 2`);
    await expect(watcher.pass(key, noRest)).rejects.toThrow(/Event 2/);
    await expect(endProof()).rejects.toThrow(/Event 2/);
  });
});

describe('a log that was restored from an older backup', () => {
  const restore = () =>
    database.query(
      `delete from events where position > 7; delete from fleet_states where generation > 7;
       delete from command_keys where last_position > 7; delete from checkpoints where size > 7;
       update log_head set (position, recorded_at) = (select position, recorded_at from events where position = 7)`,
    );

  it('is refused by the files that it does not have, until it is adopted; then the checkpoints say what it continues', async () => {
    const dir = await mkdtemp(join(folder, 'files-'));
    const lost = await start({ AUDIT_CHECKPOINT_DIR: dir });
    for (const version of ['v7', 'v8']) await lost.api.post('/lora/deploy', { adapter_version: version });
    const old = await fresh(lost);
    expect(old.size).toBe(9);
    await lost.close();
    services = [];

    await restore();
    const service = await start({ AUDIT_CHECKPOINT_DIR: dir });
    await expectRefused(service, /The log has 7 events, and the checkpoint file of size 9 is of 9/);
    // Also once the positions have been given a second time.
    for (const version of ['w1', 'w2', 'w3'])
      await service.api.post('/lora/deploy', { adapter_version: version });
    const another = await start({ AUDIT_CHECKPOINT_DIR: dir });
    await expectRefused(another, /The first 9 events are not those of the checkpoint file of size 9/);

    const owner = await database.connect();
    const adoption = await adoptLog(owner);
    await owner.end();
    const next = await fresh(service);
    expect(next).toMatchObject({ log_id: adoption.logId, size: await headOf(database) });
    const { continues } = openCheckpoint(next.note, [key.verifier]);
    expect(continues).toMatchObject({ logId: old.log_id, size: adoption.position });
    expect((await service.api.get('/health')).body).toMatchObject({
      status: 'ok',
      components: { audit: 'ok' },
    });
    expect((await Metrics.of(service.api)).value('lora_audit_contradicted')).toBe(0);
    expect(await fresh(another)).toStrictEqual(next);
    await service.api.post('/lora/disable');
    expect(openCheckpoint((await fresh(service)).note, [key.verifier]).continues).toStrictEqual(continues);
  });
});
