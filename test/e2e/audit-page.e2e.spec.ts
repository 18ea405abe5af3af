import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { KEY_NAME } from '../../src/audit/core/checkpoint.js';
import { generateSignerKey } from '../../src/audit/core/note.js';
import { runLine } from '../support/command-line.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { type Replica, startReplica } from '../support/replica.js';
import { parseCurl } from './curl.js';

const page = await readFile(new URL('../../docs/audit.md', import.meta.url), 'utf8');
const lines = [...page.matchAll(/^```bash\n(.*?)\n```$/gms)].flatMap(([, block = '']) => block.split('\n'));

let database: TestDatabase;
let service: Replica;
let folder: string;

beforeAll(async () => {
  database = await createDatabase();
  folder = await mkdtemp(join(tmpdir(), 'audit-page-'));
  const AUDIT_SIGNING_KEY_FILE = join(folder, 'key');
  await writeFile(AUDIT_SIGNING_KEY_FILE, generateSignerKey(KEY_NAME).text);
  service = await startReplica({ env: { DATABASE_URL: database.url, AUDIT_SIGNING_KEY_FILE } });
  await service.api.post('/lora/disable', { reason: 'regression_detected', reference: 'INC-1042' });
});

afterAll(async () => {
  await service.stop();
  await database.drop();
  await rm(folder, { recursive: true });
});

it('has a line for every question', () => {
  expect(lines.filter((line) => line.startsWith('npx loractl ')).length).toBeGreaterThan(4);
  expect(lines.filter((line) => line.startsWith('curl ')).length).toBeGreaterThan(4);
});

it.each(lines)('%s works as printed', async (line) => {
  if (line.startsWith('npx loractl ')) {
    const words = line.replace('npx loractl ', '').split(' ');
    expect(await runLine(words, { LORA_URL: service.api.url })).toMatchObject({ code: 0 });
  } else {
    const { method, url } = parseCurl(line);
    const { pathname, search } = new URL(url);
    expect((await fetch(service.api.url + pathname + search, { method })).status).toBe(200);
  }
});
