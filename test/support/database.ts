import { randomBytes } from 'node:crypto';

import pg from 'pg';

const ownerUrl = process.env.TEST_DATABASE_OWNER_URL ?? '';

/** A database of its own, as its owner sees it. */
export interface TestDatabase {
  readonly name: string;
  /** Connects as the owner, a superuser. */
  readonly url: string;
  query<T extends pg.QueryResultRow>(sql: string, parameters?: unknown[]): Promise<T[]>;
  /** A connection of its own, for locks and transactions; end it yourself. */
  connect(): Promise<pg.Client>;
  drop(): Promise<void>;
}

/** Clones the migrated template, or with `empty` makes a database without any table. */
export async function createDatabase(content: 'migrated' | 'empty' = 'migrated'): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await asOwner(`create database ${name} template ${content === 'migrated' ? 'lora_template' : 'template1'}`);
  const url = new URL(ownerUrl);
  url.pathname = `/${name}`;
  const pool = new pg.Pool({ connectionString: url.href, max: 4 });
  pool.on('error', () => undefined);
  return {
    name,
    url: url.href,
    query: async <T extends pg.QueryResultRow>(sql: string, parameters: unknown[] = []) =>
      (await pool.query<T>(sql, parameters)).rows,
    connect: async () => {
      const client = new pg.Client({ connectionString: url.href });
      client.on('error', () => undefined);
      await client.connect();
      return client;
    },
    drop: async () => {
      await pool.end();
      await asOwner(`drop database ${name} with (force)`);
      await asOwner(`drop role if exists ${name}_service`);
    },
  };
}

async function asOwner(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
