import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { KEY_NAME, signCheckpoint } from '../../src/audit/core/checkpoint.js';
import { generateSignerKey } from '../../src/audit/core/note.js';
import { adoptLog } from '../../src/event-store/adopt.js';
import { startApp, type TestApp } from '../support/app.js';
import { type Ran, runInside } from '../support/command-line.js';
import { eventually } from '../support/http.js';
import { headOf } from '../support/problem.js';

/**
 * Everything that somebody can do who owns the database, triggers off; what is there before and after is exported by
 * the service and held against a checkpoint of 10 events and a receipt that were taken while the log was whole.
 */
const TABLES = ['events', 'fleet_states', 'log_head'];
const LEAF = `sha256('\\x00'::bytea || int8send(position) || int8send((extract(epoch from recorded_at) * 1000000)::bigint)
  || sha256(convert_to(body, 'UTF8')))`;
/** Changes a reason in body, column and state, so that nothing but its hash shows it. */
const REWRITE = `
  update events set body = replace(body, 'regression_detected', 'planned_maintenance'), reason = 'planned_maintenance'
    where position = 5;
  update fleet_states set state = jsonb_set(state, '{last_reason}', '"planned_maintenance"') where generation = 5;
  update events set leaf_hash = ${LEAF}`;

/** Makes place for an event after position 5, or takes the place of one away. */
const SHIFT = (from: number, by: number): string =>
  ['events set position = position', 'fleet_states set generation = generation']
    .map((set) => {
      const column = set.split(' ').at(-1) ?? '';
      return `update ${set} + 1000 where ${column} >= ${from}; update ${set} - 1000 + ${by} where ${column} > 1000;`;
    })
    .join('') + `update log_head set position = position + ${by};`;
/** A kill that nobody sent, after the kill at position 5. */
const INSERTED = `
  ${SHIFT(6, 1)}
  insert into events
    select 6, recorded_at + interval '1 us', leaf_hash, replace(body, id::text, '01978f3a-5c00-7000-8000-000000000099'),
      '01978f3a-5c00-7000-8000-000000000099', type, fleet, adapter_version, from_version, to_version, enabled, reason,
      reference, actor from events where position = 5;
  insert into fleet_states
    select fleet, 6, recorded_at + interval '1 us', state from fleet_states where generation = 5;
  update events set leaf_hash = ${LEAF}`;
/** The places of two events exchanged, all that comes with a place too. */
const SWAPPED = `
  update events set position = position + 1000 where position in (4, 5);
  update events set position = 1009 - position where position > 1000;
  update fleet_states set generation = generation + 1000 where generation in (4, 5);
  update fleet_states set generation = 1009 - generation where generation > 1000;`;
const CUT = `
  delete from events where position > 8; delete from fleet_states where generation > 8;`;

const key = generateSignerKey(KEY_NAME);
let service: TestApp;
let folder: string;
let receipt: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verify-'));
  await writeFile(join(folder, 'key'), key.text);
  // Checkpoints are taken at the start and when they are asked for.
  const env = { AUDIT_SIGNING_KEY_FILE: join(folder, 'key'), AUDIT_CHECKPOINT_SECONDS: '100000' };
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1', ...env });
  const { api, database } = service;
  await api.send('PUT', '/fleets/canary', { body: { adapter_version: 'v1' } });
  await api.post('/lora/deploy', { adapter_version: 'v2' });
  await api.post('/lora/deploy?fleet=canary', { adapter_version: 'v2', reference: 'CHG-é-7' });
  const killed = await api.post('/lora/disable', { reason: 'regression_detected' });
  receipt = killed.headers.get('lora-receipt') ?? '';
  await api.post('/lora/enable', {});
  await api.post('/lora/rollback', {});
  await api.post('/lora/deploy', { adapter_version: 'v3' });
  await api.post('/lora/disable?fleet=*', { reason: 'all' });
  const words = ['checkpoint', '--fresh', '--key', key.verifier.text, '--output', join(folder, 'checkpoint')];
  expect(await runInside(['--url', api.url, ...words])).toMatchObject({
    code: 0,
    err: expect.stringMatching(/: 10 events of log .{36}; its signature is good\.\n$/) as unknown,
  });
  await api.post('/lora/enable', {});
  for (const table of TABLES)
    await database.query(
      `alter table ${table} disable trigger all; create table saved_${table} as table ${table}`,
    );
});
afterAll(async () => {
  await service.close();
  await rm(folder, { recursive: true });
});

/** Exports the log as it stands, and verifies the file. */
async function verified(...words: string[]): Promise<Omit<Ran, 'err'>> {
  const response = await fetch(`${service.api.url}/lora/history/export`);
  const file = join(folder, 'log.ndjson');
  await writeFile(file, await response.text());
  const evidence = ['--key', key.verifier.text, '--checkpoint', join(folder, 'checkpoint')];
  const { code, out } = await runInside(['verify', file, ...evidence, ...words]);
  return { code, out };
}

async function tampered<T>(sql: string, act: () => Promise<T>): Promise<T> {
  const { database } = service;
  try {
    await database.query(sql);
    return await act();
  } finally {
    for (const table of TABLES)
      await database.query(`truncate ${table}; insert into ${table} select * from saved_${table}`);
  }
}

describe('loractl verify, of a log in a real database', () => {
  it('is content with what nobody touched', async () => {
    expect(await verified('--receipt', receipt)).toEqual({
      code: 0,
      out:
        'UNALTERED: 10 events as they were signed.\n' +
        '1 event after that: sound in themselves, signed by nobody yet.\n',
    });
  });

  it.each([
    [
      'one byte of a body',
      5,
      'its leaf is stored as',
      "update events set body = replace(body, 'regression', 'regressiom') where position = 5",
    ],
    ['an event removed', 6, 'it is missing: 7 follows 5', 'delete from events where position = 6'],
    ['the first event removed', 1, 'it is missing: 2 follows 0', 'delete from events where position = 1'],
    [
      'an event removed, those after it moved up',
      6,
      'its leaf is stored as',
      `delete from events where position = 6; delete from fleet_states where generation = 6; ${SHIFT(7, -1)}`,
    ],
    ['two swapped', 4, 'its leaf is stored as', SWAPPED],
    [
      'two swapped, with new leaves',
      5,
      'the event before at',
      `${SWAPPED} update events set leaf_hash = ${LEAF}`,
    ],
    ['one inserted', 7, 'its leaf is stored as', `${INSERTED} where position = 6`],
    ['one inserted, with new leaves', 1, 'the first that differs is one of 1 to 10', INSERTED],
    ['the tail cut', 9, 'the head of the log stands at 11', CUT],
    [
      'the tail cut, and the head set back',
      9,
      'the log ends at 8. Checkpoint',
      `${CUT} update log_head set (position, recorded_at) = (select position, recorded_at from events where position = 8)`,
    ],
    [
      'a timestamp moved',
      5,
      'its leaf is stored as',
      "update events set recorded_at = recorded_at - interval '1 us' where position = 5",
    ],
    [
      'a timestamp moved, with new leaves',
      1,
      'the first that differs is one of 1 to 10',
      `update events set recorded_at = recorded_at + interval '1 us' where position = 5;
       update fleet_states set recorded_at = recorded_at + interval '1 us' where generation = 5;
       update events set leaf_hash = ${LEAF}`,
    ],
    [
      'a derived column changed',
      5,
      'its column actor is "token:eve", its body says "anonymous"',
      "update events set actor = 'token:eve' where position = 5",
    ],
    [
      'a state changed',
      5,
      'the state after it is stored as',
      `update fleet_states set state = jsonb_set(state, '{enabled}', 'true') where generation = 5`,
    ],
    [
      'the time of a state moved',
      5,
      'no state of fleet default',
      "update fleet_states set recorded_at = recorded_at + interval '1 us' where generation = 5",
    ],
    ['the whole log rewritten, with new leaves', 1, 'the first that differs is one of 1 to 10', REWRITE],
  ])('%s', async (_, position, why, sql) => {
    const { code, out } = await tampered(sql, () => verified());
    expect(out).toContain(why);
    expect(out).toMatch(new RegExp(`^ALTERED at position ${position}: `));
    expect(code).toBe(1);
  });

  it('names the very event of a rewritten log of which a receipt was kept', async () => {
    const { code, out } = await tampered(REWRITE, () => verified('--receipt', receipt));
    expect(out).toMatch(/^ALTERED at position 5: The receipt of position 5 has the leaf /);
    expect(code).toBe(1);
  });
});

describe('loractl proof', () => {
  it('shows that an event is in what was signed, and that this is the log of a kept checkpoint, grown', async () => {
    const words = ['--url', service.api.url, 'proof', '11', '--key', key.verifier.text];
    const { code, out, err } = await runInside([...words, '--checkpoint', join(folder, 'checkpoint')]);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(
      /^PROVEN: position 11 is in log .{36} of 11 events, as signed, which is that of .*, grown\.\nleaf /,
    );
    const own = receipt.split('/').slice(1);
    const proven = await runInside([
      '--json',
      ...words.map((word) => (word === '11' ? (own[0] ?? '') : word)),
    ]);
    expect(JSON.parse(proven.out)).toMatchObject({ position: 5, leaf: own[1] });
  });

  it('proves nothing by another key, another log, or where there is no event', async () => {
    const words = ['--url', service.api.url, 'proof', '11', '--key'];
    const stranger = generateSignerKey(KEY_NAME).verifier.text;
    expect(await runInside([...words, stranger])).toMatchObject({
      code: 1,
      err: expect.stringMatching(
        /^loractl: NOT PROVEN: its checkpoint: The note is not signed with/,
      ) as unknown,
    });
    const forged = join(folder, 'forged');
    const root = Buffer.alloc(32);
    await writeFile(
      forged,
      signCheckpoint({ logId: receipt.slice(0, 36), size: 10, root, continues: null }, key),
    );
    expect(await runInside([...words, key.verifier.text, '--checkpoint', forged])).toMatchObject({
      code: 1,
      err: expect.stringContaining('the first 10 events are not those of the log of 11') as unknown,
    });
    expect(
      (await runInside(['--url', service.api.url, 'proof', '99', '--key', key.verifier.text])).code,
    ).toBe(1);
    expect((await runInside(['proof', 'x', '--key', key.verifier.text])).code).toBe(2);
  });
});

/** The last one: nothing of this is undone. */
describe('a log that was restored from an older backup, and adopted', () => {
  it('says which log it continues, and verification of both says what was lost', async () => {
    const { api, database } = service;
    const [older, newer, note] = ['older', 'newer', 'newer.checkpoint'].map((name) => join(folder, name));
    const keep = (file: string | undefined) =>
      runInside(['--url', api.url, 'checkpoint', '--fresh', '-o', file ?? '']);
    expect((await keep(join(folder, 'older.checkpoint'))).code).toBe(0);
    await writeFile(older ?? '', await (await fetch(`${api.url}/lora/history/export`)).text());

    await database.query(`${CUT} update log_head set (position, recorded_at) =
      (select position, recorded_at from events where position = 8)`);
    // Kills come first, and adopting then.
    await eventually(async () => (await api.post('/lora/disable', { reason: 'again' })).status === 200);
    const owner = await database.connect();
    const { logId, previousLogId } = await adoptLog(owner, 8).finally(() => owner.end());
    await eventually(async () => (await api.post('/lora/enable', { adapter_version: 'v4' })).status === 200);
    await eventually(async () => (await keep(note)).code === 0);
    await writeFile(newer ?? '', await (await fetch(`${api.url}/lora/history/export`)).text());

    const checkpoints = ['--checkpoint', join(folder, 'older.checkpoint'), note ?? ''];
    const words = ['--json', 'verify', newer ?? '', '--key', key.verifier.text, ...checkpoints];
    const both = await runInside([...words, '--continues', older ?? '']);
    expect(JSON.parse(both.out)).toMatchObject({
      exit_code: 0,
      newer: { outcome: 'unaltered', log_id: logId, covered: await headOf(database) },
      older: { outcome: 'unaltered', log_id: previousLogId, covered: 11 },
      from: 8,
      lost: {
        events: 3,
        first: [{ position: 9, fleet: 'canary' }, { position: 10 }, { type: 'LoraEnabled' }],
      },
    });
    const alone = await runInside(words);
    expect(JSON.parse(alone.out)).toMatchObject({ exit_code: 1, outcome: 'altered', position: 9 });
  });
});
