import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import pg from 'pg';

import { usableBinaries } from '../../dist/src/database/embedded-binaries.js';
import { createCluster } from '../../dist/src/database/embedded-cluster.js';
import { openHome } from '../../dist/src/database/embedded-home.js';
import { joinEmbeddedServer } from '../../dist/src/database/embedded-server.js';
import { prepareDatabase } from '../../dist/src/database/prepare-database.js';

const quiet = () => undefined;

/**
 * One PostgreSQL for the whole run, with a migrated template that every test file clones, and a copy of its cluster for
 * those who need a server of their own.
 */
export default async function globalSetup() {
  const folder = await mkdtemp(join(tmpdir(), 'lora-test-'));
  // As root the server runs as another user, who must get into the folder.
  await chmod(folder, 0o755);
  const home = await openHome(folder, quiet);
  await createCluster(home, await usableBinaries(home.folder, home.user, quiet), quiet);
  process.env.TEST_CLUSTER = join(folder, 'cluster');
  execFileSync('cp', ['-a', dirname(home.data), process.env.TEST_CLUSTER]);
  const server = await joinEmbeddedServer(folder, quiet);
  const template = new URL(server.ownerUrl);
  template.pathname = '/lora_template';
  const owner = new pg.Client({ connectionString: server.ownerUrl });
  await owner.connect();
  await owner.query('create database lora_template');
  await owner.end();
  await prepareDatabase(template.href, undefined, { log: quiet, warn: quiet });
  process.env.TEST_DATABASE_OWNER_URL = server.ownerUrl;
  globalThis.testServer = { server, folder };
}
