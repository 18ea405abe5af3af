import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { adoptLog } from '../../src/event-store/adopt.js';
import { prepareDatabase } from '../../src/database/prepare-database.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { appendBatch, entry, statusesOf, through } from './batches.js';

const quiet = { log: () => undefined, warn: () => undefined };
const REFUSED = '42501';

let database: TestDatabase;
let owner: pg.Client;
let service: pg.Client;

beforeAll(async () => {
  database = await createDatabase('empty');
  owner = await database.connect();
  service = new pg.Client({ connectionString: await prepareDatabase(database.url, undefined, quiet) });
  await service.connect();
  await appendBatch(through(owner), [entry({ a: 0 }), entry({ a: 0 })]);
  await adoptLog(owner);
  await owner.query(`select report_engines_of(
    '[{"engine":"e","fleet":"a","owner":"token:e","only_own":true,"report":{"state":"pending"}}]', 15)`);
  await owner.query(`select record_access(0, 'here', null, '{"access":"open","tokens":[]}')`);
  await owner.query(`select keep_checkpoint(log_id, 1, sha256('a'), 'note', 'key') from log_head`);
  await owner.query(`select record_refusals('here', '[{"refusal":"0193a1b2-0000-7000-8000-000000000001","age":0,
    "actor":"token:e","auth":"token","call":"GET /lora/status","status":403,"code":"forbidden","left_out":0}]')`);
  await owner.query("select record_caller_name(0, 'oidc:https://issuer/u-17', 'Ana')");
  await owner.query("select remove_engine('e', 'anonymous', null, 15)");
});
afterAll(async () => {
  await owner.end();
  await service.end();
  await database.drop();
});

/** Tables that are counted from the log. */
const TALLIES = ['disabled_spells', 'event_kinds', 'event_tallies', 'tally_head'];

/** Tables whose rows are never changed. */
const EVIDENCE = [
  'access_changes',
  'caller_names',
  'checkpoints',
  'command_keys',
  'engine_registrations',
  'events',
  'kill_acknowledgements',
  'kill_rolls',
  'log_adoptions',
  'refusals',
];

const everything = async (): Promise<unknown> => {
  const tables = [
    'log_head',
    'events',
    'fleet_states',
    'command_keys',
    'log_adoptions',
    'migrations',
    'engine_registrations',
    'access_changes',
    'caller_names',
    'checkpoints',
    'refusals',
  ];
  return Promise.all(
    tables.map(async (table) => database.query(`select to_jsonb(t) as row from ${table} t order by 1`)),
  );
};

/** In a transaction that is rolled back, so that a test that fails leaves the next one its log. */
async function expectRefused(client: pg.Client, sql: string): Promise<void> {
  await client.query('begin');
  try {
    await expect(client.query(sql)).rejects.toMatchObject({ code: REFUSED });
  } finally {
    await client.query('rollback');
  }
}

const changes = [
  'update events set reason = reason',
  "update events set reason = 'another' where position = 1",
  'update events set reason = reason where false',
  'delete from events',
  'delete from events where position = 2',
  'truncate events',
  'truncate events, command_keys, log_head, fleet_states',
  'update command_keys set last_position = last_position',
  'delete from command_keys',
  'truncate command_keys',
  'update log_adoptions set position = position',
  'delete from log_adoptions',
  'truncate log_adoptions',
  'update kill_acknowledgements set generation = generation',
  'delete from kill_acknowledgements',
  'truncate kill_acknowledgements',
  'update kill_rolls set engines = engines',
  'delete from kill_rolls',
  'truncate kill_rolls',
  'update access_changes set changed_at = changed_at',
  'delete from access_changes',
  'truncate access_changes',
  'update caller_names set name = name',
  'delete from caller_names',
  'truncate caller_names',
  'update checkpoints set note = note',
  'delete from checkpoints',
  'truncate checkpoints',
  'update refusals set left_out = 0',
  'delete from refusals',
  'truncate refusals',
  "update engine_registrations set engine = 'another'",
  "update engine_registrations set owner = 'token:another'",
  'update engine_registrations set removed_at = null, removed_by = null',
  'delete from engine_registrations',
  'truncate engine_registrations',
  'delete from log_head',
  'truncate log_head',
  'update log_head set position = position - 1',
  "update log_head set recorded_at = recorded_at - interval '1 microsecond'",
  'update log_head set recorded_at = null',
  'update log_head set position = 0, recorded_at = null',
  `merge into events e using (values (1)) as v(position) on e.position = v.position when matched then delete`,
  `insert into command_keys select * from command_keys on conflict (caller, key) do update set last_position = 9`,
];

describe('the owner, a superuser', () => {
  it.each(changes)('cannot: %s', async (sql) => {
    const before = await everything();
    await expectRefused(owner, sql);
    expect(await everything()).toEqual(before);
  });

  it.each(changes)('cannot, with triggers off for replication: %s', async (sql) => {
    await owner.query('set session_replication_role = replica');
    try {
      await expectRefused(owner, sql);
    } finally {
      await owner.query('reset session_replication_role');
    }
  });

  it('is told why', async () => {
    await expect(owner.query('delete from events')).rejects.toThrow(
      'delete on events is refused: the log is append-only',
    );
  });

  it('can set the head forward and give the log another name, which a restore needs', async () => {
    await owner.query('begin');
    await owner.query(
      "update log_head set position = position + 1, recorded_at = recorded_at + interval '1 hour', log_id = gen_random_uuid()",
    );
    await owner.query('rollback');
  });
});

describe('the role of the service', () => {
  it('is neither superuser nor owner of anything, and has no other role', async () => {
    const { rows } = await service.query(
      `select rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
         (select count(*)::int from pg_class where relowner = r.oid)
         + (select count(*)::int from pg_proc where proowner = r.oid) as owned,
         (select count(*)::int from pg_auth_members where member = r.oid) as memberships
       from pg_roles r where rolname = current_user`,
    );
    expect(rows).toEqual([
      {
        rolsuper: false,
        rolcreaterole: false,
        rolcreatedb: false,
        rolreplication: false,
        rolbypassrls: false,
        owned: 0,
        memberships: 0,
      },
    ]);
  });

  it('reads every table, and no privilege on any is more than that', async () => {
    const { rows } = await service.query(
      `select relname, string_agg(privilege, ',') filter (where has_table_privilege(c.oid, privilege)) as may
       from pg_class c, unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) as privilege
       where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm', 'p', 'f')
       group by relname order by relname`,
    );
    expect(rows).toEqual(
      [
        ...EVIDENCE,
        ...TALLIES,
        'engine_instances',
        'engine_presence',
        'engine_presence_epoch',
        'fleet_states',
        'log_head',
        'migrations',
      ]
        .sort()
        .map((relname) => ({
          relname,
          may: 'SELECT',
        })),
    );
  });

  it('appends by calling the functions', async () => {
    const [last] = await database.query<{ position: number }>(
      "select max(generation)::int as position from fleet_states where fleet = 'a'",
    );
    await service.query('begin');
    await service.query('select lock_head(0)');
    expect(await statusesOf(through(service), [entry({ a: last?.position ?? 0 })])).toEqual(['appended']);
    await service.query('commit');
  });

  it.each([
    ...changes,
    'insert into events select * from events',
    'insert into fleet_states select * from fleet_states',
    'insert into command_keys select * from command_keys',
    'insert into log_adoptions select gen_random_uuid(), log_id, position from log_adoptions',
    "insert into access_changes (changed_at, replica, access, came, went) values (now(), 'x', '{}', '[]', '[]')",
    "insert into checkpoints (log_id, size, root, note, key) select log_id, 2, sha256('a'), 'x', 'x' from log_head",
    "insert into refusals (refusal, refused_at, replica, actor, auth, call, status, code, left_out) values (gen_random_uuid(), now(), 'x', 'x', 'x', 'x', 1, 'x', 0)",
    "insert into migrations (timestamp, name) values (1, 'x')",
    'update fleet_states set generation = 9',
    "insert into event_kinds (fleet, type, actor) values ('a', 'b', 'c')",
    'insert into event_tallies values (1, 2, 3)',
    "insert into disabled_spells values (9, 'a', now(), null, interval '0')",
    ...TALLIES.map((table) => `delete from ${table}`),
    'update tally_head set position = 9',
    'update event_tallies set events = 9',
    'update disabled_spells set ended_at = now()',
    'delete from fleet_states',
    'truncate fleet_states',
    'update migrations set name = name',
    'delete from migrations',
    'update log_head set position = position + 1',
    'update log_head set log_id = gen_random_uuid()',
    'select from log_head for update',
    'lock table events in share row exclusive mode',
    'copy events from stdin',
    'create table public.mine (v int)',
    'create schema mine',
    'create function public.mine() returns int language sql as $$ select 1 $$',
    'create or replace function public.rfc3339(p_time timestamptz) returns text language sql as $$ select null $$',
    'create role mine',
    'create rule mine as on insert to events do instead nothing',
    'create trigger mine before insert on events for each row execute function refuse_change()',
    'create index mine on events (body)',
    'drop table events',
    'drop table fleet_states',
    'drop function append_batch(jsonb, uuid, bigint)',
    'drop trigger events_are_kept on events',
    'alter table events disable trigger events_are_kept',
    'alter table events disable trigger all',
    'alter table events add column mine int',
    'alter table events owner to current_user',
    'alter function append_batch(jsonb, uuid, bigint) security invoker',
    "comment on table events is 'mine'",
    'set session_replication_role = replica',
    'set role lora_owner',
    'set session authorization lora_owner',
    'alter role current_user createrole',
    "copy (select 1) to program 'true'",
    "select pg_read_file('postgresql.conf')",
  ])('cannot: %s', async (sql) => {
    const before = await everything();
    await expectRefused(service, sql);
    expect(await everything()).toEqual(before);
  });

  it('regains nothing by resetting its role', async () => {
    await service.query('reset role; reset session authorization');
    await expectRefused(service, 'delete from events');
  });

  it('cannot lend the functions tables of its own', async () => {
    const { position = 0 } =
      (await database.query<{ position: number }>('select position::int from log_head'))[0] ?? {};
    await service.query('begin');
    await service.query(
      'create temp table log_head (like public.log_head); insert into log_head select * from public.log_head',
    );
    await service.query('create temp table events (like public.events)');
    const { position: after } = await appendBatch(through(service), [entry({ temporary: 0 })]);
    await service.query('commit');
    expect(after).toBe(position + 1);
    expect(await database.query("select from public.events where fleet = 'temporary'")).toHaveLength(1);
    await service.query('drop table pg_temp.log_head, pg_temp.events');
  });
});

it('nobody else may call what appends or counts', async () => {
  const callers = await database.query(
    `select p.proname, a.grantee::regrole::text as grantee, a.privilege_type as privilege
     from pg_proc p, aclexplode(p.proacl) a
     where p.proname in ('append_batch', 'lock_head', 'tally_log') and a.grantee <> p.proowner order by 1`,
  );
  const grantee = `${database.name}_service`;
  expect(callers).toEqual(
    ['append_batch', 'lock_head', 'tally_log'].map((proname) => ({ proname, grantee, privilege: 'EXECUTE' })),
  );
});

it('every trigger that protects the log fires for everybody, always', async () => {
  expect(
    await database.query(
      `select tgrelid::regclass::text as table, tgname as trigger, tgenabled as enabled from pg_trigger
       where not tgisinternal order by 1, 2`,
    ),
  ).toEqual([
    { table: 'access_changes', trigger: 'access_changes_are_kept', enabled: 'A' },
    { table: 'caller_names', trigger: 'caller_names_are_kept', enabled: 'A' },
    { table: 'checkpoints', trigger: 'checkpoints_are_kept', enabled: 'A' },
    { table: 'command_keys', trigger: 'command_keys_are_kept', enabled: 'A' },
    { table: 'engine_registrations', trigger: 'engine_registrations_are_kept', enabled: 'A' },
    { table: 'engine_registrations', trigger: 'engine_registrations_one_by_one', enabled: 'A' },
    { table: 'engine_registrations', trigger: 'engine_registrations_only_end', enabled: 'A' },
    { table: 'events', trigger: 'events_are_kept', enabled: 'A' },
    { table: 'kill_acknowledgements', trigger: 'kill_acknowledgements_are_kept', enabled: 'A' },
    { table: 'kill_rolls', trigger: 'kill_rolls_are_kept', enabled: 'A' },
    { table: 'log_adoptions', trigger: 'log_adoptions_are_kept', enabled: 'A' },
    { table: 'log_head', trigger: 'log_head_goes_forward', enabled: 'A' },
    { table: 'log_head', trigger: 'log_head_is_kept', enabled: 'A' },
    { table: 'refusals', trigger: 'refusals_are_kept', enabled: 'A' },
  ]);
});
