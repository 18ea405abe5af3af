import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import pg from 'pg';

import { joinEmbeddedServer } from '../../dist/src/database/embedded-server.js';
import { prepareDatabase } from '../../dist/src/database/prepare-database.js';

/** One PostgreSQL for the whole run, with a migrated template that every test file clones. */
export default async function globalSetup() {
  const folder = await mkdtemp(join(tmpdir(), 'lora-test-'));
  // As root the server runs as another user, who must get into the folder.
  await chmod(folder, 0o755);
  const server = await joinEmbeddedServer(folder, () => undefined);
  const template = new URL(server.ownerUrl);
  template.pathname = '/lora_template';
  const owner = new pg.Client({ connectionString: server.ownerUrl });
  await owner.connect();
  await owner.query('create database lora_template');
  await owner.end();
  await prepareDatabase(template.href, undefined, { log: () => undefined, warn: () => undefined });
  process.env.TEST_DATABASE_OWNER_URL = server.ownerUrl;
  globalThis.testServer = { server, folder };
}
