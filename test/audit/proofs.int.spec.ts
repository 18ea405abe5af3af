import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import type { ConsistencyBody, ProofBody } from '../../src/audit/audit.dto.js';
import { BLOCK } from '../../src/audit/audit.store.js';
import { KEY_NAME, openCheckpoint } from '../../src/audit/core/checkpoint.js';
import { rootOf } from '../../src/audit/core/merkle.js';
import { generateSignerKey } from '../../src/audit/core/note.js';
import { isConsistent, isIncluded } from '../../src/audit/core/proof.js';
import { startApp, type TestApp } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { expectInvalid, expectProblem, headOf } from '../support/problem.js';
import { lengthen } from './long-log.js';

const key = generateSignerKey(KEY_NAME);
let folder: string;
let database: TestDatabase;
let service: TestApp;
let leaves: Buffer[];

const start = () =>
  startApp({ AUDIT_SIGNING_KEY_FILE: join(folder, 'key'), AUDIT_CHECKPOINT_SECONDS: '100000' }, database);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofs-'));
  await writeFile(join(folder, 'key'), key.text);
  database = await createDatabase();
  await (await start()).close();
  await lengthen(database, 2 * BLOCK + 300);
  service = await start();
  await service.api.get('/audit/checkpoint?fresh=true');
  const rows = await database.query<{ leaf_hash: Buffer }>('select leaf_hash from events order by position');
  leaves = rows.map(({ leaf_hash }) => leaf_hash);
});
afterAll(async () => {
  await service.close();
  await database.drop();
  await rm(folder, { recursive: true });
});

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');
const proofOf = async (position: number): Promise<ProofBody> =>
  (await service.api.get(`/audit/proof/${position}`)).body as unknown as ProofBody;

it('proves that an event is in the log that was signed', async () => {
  const size = await headOf(database);
  for (const position of [1, 2, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1, size - 1, size]) {
    const proof = await proofOf(position);
    const signed = openCheckpoint(proof.checkpoint, [key.verifier]);
    expect(proof).toMatchObject({ position, size, leaf: leaves[position - 1]?.toString('hex') });
    expect([signed.logId, signed.size, signed.root.toString('hex')]).toStrictEqual([
      proof.log_id,
      proof.size,
      proof.root,
    ]);
    expect(isIncluded(bytes(proof.leaf), position - 1, signed, proof.path.map(bytes))).toBe(true);
  }
});

it('proves that the log of one checkpoint is the beginning of that of another', async () => {
  const size = await headOf(database);
  const sizes = [1, BLOCK, BLOCK + 7, size - 1, size];
  for (const from of sizes) {
    for (const to of sizes.filter((each) => each >= from)) {
      const reply = await service.api.get(`/audit/consistency?from=${from}&to=${to}`);
      const body = reply.body as unknown as ConsistencyBody;
      const [first, second] = [body.from, body.to].map((tree) => ({
        size: tree.size,
        root: bytes(tree.root),
      }));
      if (!first || !second) throw new Error('There are two.');
      expect([first.size, second.size]).toStrictEqual([from, to]);
      expect(first.root.equals(rootOf(leaves.slice(0, from)))).toBe(true);
      expect(isConsistent(first, second, body.proof.map(bytes))).toBe(true);
    }
  }
  const { body } = await service.api.get('/audit/consistency?from=1');
  expect(body).toMatchObject({ from: { size: 1 }, to: { size } });
});

it('signs first what no checkpoint covers yet', async () => {
  await service.api.post('/lora/disable');
  const size = await headOf(database);
  expect(await proofOf(size)).toMatchObject({ position: size, size });
  await service.api.post('/lora/disable');
  const { body } = await service.api.get(`/audit/consistency?from=1&to=${size + 1}`);
  expect(body).toMatchObject({ to: { size: size + 1 } });
});

it('reads the log for no event that this replica has read, whoever has signed since', async () => {
  const { size } = await proofOf(1);
  const other = await start();
  await service.api.post('/lora/disable');
  await other.api.get('/audit/checkpoint?fresh=true');
  // After a pass it would be proven by the newer checkpoint.
  expect(await proofOf(1)).toMatchObject({ size });
  expect(await proofOf(size + 1)).toMatchObject({ size: size + 1 });
  expect(await proofOf(1)).toMatchObject({ size: size + 1 });
  await other.close();
});

it('has nothing to say of what there is not', async () => {
  const size = await headOf(database);
  const beyond = `/audit/proof/${size + 1}`;
  expectProblem(await service.api.get(beyond), 'not-found', beyond);
  expectInvalid(await service.api.get('/audit/proof/0'), 'position', '/audit/proof/0');
  const consistency = (query: string) => service.api.get(`/audit/consistency${query}`);
  expectInvalid(await consistency(''), 'from', '/audit/consistency');
  expectInvalid(await consistency('?from=0'), 'from', '/audit/consistency');
  expectInvalid(await consistency('?from=3&to=2'), 'from', '/audit/consistency');
  expectInvalid(await consistency(`?from=${size + 1}`), 'from', '/audit/consistency');
  expectInvalid(await consistency(`?from=1&to=${size + 1}`), 'to', '/audit/consistency');
});

it('of an event that was changed is an alarm', async () => {
  await database.query('alter table events disable trigger user');
  await database.query(`update events set actor = 'eve' where position = 3`);
  expectProblem(await service.api.get('/audit/proof/3'), 'past-changed', '/audit/proof/3');
  expect((await service.api.get('/health')).body).toMatchObject({ components: { audit: 'contradicted' } });
});
