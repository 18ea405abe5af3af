import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database.drop());

const tables = (): Promise<{ table: string; comment: string | null }[]> =>
  database.query(
    `select relname as table, obj_description(oid, 'pg_class') as comment from pg_class
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f') order by relname`,
  );

it('the tables are those that are known here', async () => {
  expect((await tables()).map(({ table }) => table)).toEqual([
    'access_changes',
    'caller_names',
    'checkpoints',
    'command_keys',
    'disabled_spells',
    'engine_instances',
    'engine_presence',
    'engine_presence_epoch',
    'engine_registrations',
    'event_kinds',
    'event_tallies',
    'events',
    'fleet_states',
    'kill_acknowledgements',
    'kill_rolls',
    'log_adoptions',
    'log_head',
    'migrations',
    'refusals',
    'tally_head',
  ]);
});

it('every table says what it is', async () => {
  expect((await tables()).filter(({ comment }) => !comment?.endsWith('.'))).toEqual([]);
});

it('every column says what it is', async () => {
  const columns = await database.query<{ comment: string | null }>(
    `select c.relname || '.' || a.attname as column, col_description(c.oid, a.attnum) as comment
     from pg_attribute a join pg_class c on c.oid = a.attrelid
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
       and a.attnum > 0 and not a.attisdropped`,
  );
  expect(columns.length).toBeGreaterThan(20);
  expect(columns.filter(({ comment }) => !comment?.endsWith('.'))).toEqual([]);
});

it('every function says what it does', async () => {
  const functions = await database.query<{ comment: string | null }>(
    `select oid::regprocedure::text as function, obj_description(oid, 'pg_proc') as comment
     from pg_proc where pronamespace = 'public'::regnamespace`,
  );
  expect(functions.length).toBeGreaterThan(5);
  expect(functions.filter(({ comment }) => !comment?.endsWith('.'))).toEqual([]);
});
