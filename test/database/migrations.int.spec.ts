import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readdir } from 'node:fs/promises';
import { DataSource } from 'typeorm';
import { MIGRATIONS } from '../../src/database/migrations.js';
import { prepareDatabase } from '../../src/database/prepare-database.js';
import { appendBatch, entry, on } from '../event-store/batches.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
let said: string[];
const say = { log: (line: string) => said.push(line), warn: (line: string) => said.push(`warning: ${line}`) };

beforeEach(async () => {
  database = await createDatabase('empty');
  said = [];
});
afterEach(() => database.drop());

const APPLIED = MIGRATIONS.map(({ name }) => `Applied migration ${name}.`);

/** Everything in the schema by its definition. */
const schema = (): Promise<object[]> =>
  database.query(
    `select c.relname as name, a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull as what
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
     where c.relnamespace = 'public'::regnamespace
     union all
     select proname, pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace
     union all
     select tgname, pg_get_triggerdef(oid) || tgenabled::text from pg_trigger where not tgisinternal
     union all
     select conname, pg_get_constraintdef(oid) from pg_constraint where connamespace = 'public'::regnamespace
     union all
     select indexname, indexdef from pg_indexes where schemaname = 'public'
     order by 1, 2`,
  );

async function withMigrations<T>(work: (dataSource: DataSource) => Promise<T>): Promise<T> {
  const dataSource = new DataSource({
    type: 'postgres',
    url: database.url,
    migrations: MIGRATIONS,
    poolSize: 1,
  });
  await dataSource.initialize();
  try {
    return await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}
const undoAll = (): Promise<void> =>
  withMigrations(async (dataSource) => {
    for (let left = MIGRATIONS.length; left > 0; left -= 1) await dataSource.undoLastMigration();
  });

describe('the migrations', () => {
  it('are exactly the files of the folder, in order, each named as its file', async () => {
    const files = (await readdir(new URL('../../migrations', import.meta.url))).sort();
    expect(files).toEqual(
      MIGRATIONS.map(({ name }) => {
        const [, words = '', time = ''] = /^(\w+?)(\d{13})$/.exec(name) ?? [];
        const kebab = words.replace(/(?<!^)[A-Z]/g, '-$&').toLowerCase();
        return `${time}-${kebab}.ts`;
      }),
    );
  });

  it('go up, down to nothing, and up again to the same', async () => {
    await prepareDatabase(database.url, undefined, say);
    const first = await schema();
    expect(first.length).toBeGreaterThan(30);

    await undoAll();
    const left = (await schema()) as { name: string }[];
    expect(left.filter(({ name }) => !/^migrations|^PK_/.test(name))).toEqual([]);
    expect(await database.query('select from migrations')).toEqual([]);

    await prepareDatabase(database.url, undefined, say);
    expect(await schema()).toEqual(first);
    expect(said).toEqual([...APPLIED, ...APPLIED]);
    await appendBatch(on(database), [entry({ a: 0 })]);
  });

  it('refuse to go down on a log that has events, and leave them', async () => {
    await prepareDatabase(database.url, undefined, say);
    await appendBatch(on(database), [entry({ a: 0 })]);
    const before = await schema();
    await expect(undoAll()).rejects.toThrow('the log is not empty: it is never dropped');
    expect(await schema()).toEqual(before);
    expect(await database.query('select from events')).toHaveLength(1);
    expect(await database.query('select from migrations')).toHaveLength(MIGRATIONS.length);
  });

  it('are applied once when replicas start together on an empty database', async () => {
    const urls = await Promise.all(
      Array.from({ length: 4 }, () => prepareDatabase(database.url, undefined, say)),
    );
    expect(new Set(urls).size).toBe(1);
    expect(said).toEqual(APPLIED);
    expect(await database.query('select name from migrations order by id')).toEqual(
      MIGRATIONS.map(({ name }) => ({ name })),
    );
    expect(await database.query('select from log_head')).toHaveLength(1);
  });

  it('are applied no more on a database that has them', async () => {
    await prepareDatabase(database.url, undefined, say);
    const [before] = await database.query('select * from log_head');
    const schemaBefore = await schema();
    said = [];
    await prepareDatabase(database.url, undefined, say);
    expect(said).toEqual([]);
    expect(await database.query('select * from log_head')).toEqual([before]);
    expect(await schema()).toEqual(schemaBefore);
  });

  it('give each new log a name of its own', async () => {
    const other = await createDatabase('empty');
    await prepareDatabase(database.url, undefined, say);
    await prepareDatabase(other.url, undefined, say);
    const ids = await Promise.all(
      [database, other].map(async (each) => each.query<{ log_id: string }>('select log_id from log_head')),
    );
    expect(new Set(ids.flat().map(({ log_id }) => log_id)).size).toBe(2);
    await other.drop();
  });
});
