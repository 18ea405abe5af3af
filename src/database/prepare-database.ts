import { setTimeout as pause } from 'node:timers/promises';

import pg from 'pg';
import { DataSource } from 'typeorm';

import { MIGRATIONS } from './migrations.js';
import { ensureServiceRole } from './service-role.js';

/** Names the lock under which replicas that start together migrate one after the other; any constant does. */
const START_LOCK = 0x10_4a;
const LOCK_PAUSE_MS = 50;

/** The database is not one that can keep the log's promises. */
export class UnfitDatabaseError extends Error {
  override readonly name = 'UnfitDatabaseError';
}

/**
 * Checks the server, applies the migrations and sees to the service's role, one replica at a time.
 * @param say gets one line for each thing that was done and that a person would want to know
 * @returns the URL with which the service logs in
 * @throws UnfitDatabaseError when the server could lose or hide what it acknowledged
 */
export async function prepareDatabase(
  ownerUrl: string,
  serviceUrl: string | undefined,
  say: { log(line: string): void; warn(line: string): void },
): Promise<string> {
  const owner = new pg.Client({
    connectionString: ownerUrl,
    connectionTimeoutMillis: 5000,
    query_timeout: 2500,
  });
  // A database that dies during the start fails the query under way; it must not end the process.
  owner.on('error', () => undefined);
  await owner.connect();
  try {
    await checkServer(owner);
    await lock(owner);
    const applied = await migrate(ownerUrl);
    for (const name of applied) say.log(`Applied migration ${name}.`);
    const service = await ensureServiceRole(owner, ownerUrl, serviceUrl);
    if (service.warning !== undefined) say.warn(service.warning);
    return service.url;
  } finally {
    // A network that swallows everything brings no goodbye.
    const patience = setTimeout(() => {
      owner.connection.stream.destroy();
    }, 300);
    await owner.end().catch(() => undefined);
    clearTimeout(patience);
  }
}

/** Asks again and again rather than waiting in the server, from where no answer might come back. */
async function lock(client: pg.Client): Promise<void> {
  for (;;) {
    const { rows } = await client.query<{ locked: boolean }>('select pg_try_advisory_lock($1) as locked', [
      START_LOCK,
    ]);
    if (rows[0]?.locked) return;
    await pause(LOCK_PAUSE_MS);
  }
}

async function checkServer(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ standby: boolean; fsync: string; version: number }>(
    `select pg_is_in_recovery() as standby, current_setting('fsync') as fsync,
       current_setting('server_version_num')::int as version`,
  );
  const server = rows[0];
  if (server?.standby)
    throw new UnfitDatabaseError('The database is a standby; the service needs the primary.');
  if (server?.fsync !== 'on') {
    throw new UnfitDatabaseError(
      'The database runs with fsync off and could lose acknowledged kills; turn it on.',
    );
  }
  if (server.version < 150000) throw new UnfitDatabaseError('PostgreSQL 15 or newer is needed.');
}

async function migrate(ownerUrl: string): Promise<string[]> {
  const dataSource = await new DataSource({
    type: 'postgres',
    url: ownerUrl,
    migrations: MIGRATIONS,
    poolSize: 1,
    connectTimeoutMS: 5000,
  }).initialize();
  try {
    return (await dataSource.runMigrations({ transaction: 'all' })).map(({ name }) => name);
  } finally {
    await dataSource.destroy();
  }
}

/** A refused connection to `localhost` is an AggregateError without a message of its own. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
