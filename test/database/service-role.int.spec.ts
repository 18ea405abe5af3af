import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { prepareDatabase } from '../../src/database/prepare-database.js';
import { entry, statusesOf, through } from '../event-store/batches.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/http.js';

let database: TestDatabase;
let said: string[];
let roles: string[];
const say = { log: () => undefined, warn: (line: string) => said.push(line) };

beforeEach(async () => {
  database = await createDatabase('empty');
  said = [];
  roles = [];
});
afterEach(async () => {
  await database.drop();
  await asking(process.env.TEST_DATABASE_OWNER_URL ?? '', async (superuser) => {
    for (const role of roles) await superuser.query(`drop role if exists ${role}`);
  });
});

const prepare = (ownerUrl: string, serviceUrl?: string): Promise<string> =>
  prepareDatabase(ownerUrl, serviceUrl, say);

function newRole(): string {
  const role = `role_${randomBytes(6).toString('hex')}`;
  roles.push(role);
  return role;
}

function urlOf(user: string, password: string): string {
  const url = new URL(database.url);
  url.username = user;
  url.password = encodeURIComponent(password);
  return url.href;
}

/** Makes a role that is no superuser the owner of the database. */
async function limitedOwner(attributes: string): Promise<{ name: string; url: string }> {
  const name = newRole();
  await database.query(`create role ${name} login password 'first' ${attributes}`);
  await database.query(`alter database ${database.name} owner to ${name}`);
  return { name, url: urlOf(name, 'first') };
}

async function asking<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const REFUSED = { code: '42501' };

/** Logs in with the URL and finds itself able to append and read, and nothing else. */
async function expectLimited(url: string, name: string): Promise<void> {
  await asking(url, async (client) => {
    expect((await client.query('select current_user as name')).rows).toEqual([{ name }]);
    const fleet = `f-${randomBytes(4).toString('hex')}`;
    expect(await statusesOf(through(client), [entry({ [fleet]: 0 })])).toEqual(['appended']);
    for (const table of ['migrations', 'log_head', 'events', 'fleet_states', 'command_keys'])
      await client.query(`select from ${table}`);
    await expect(client.query('delete from events')).rejects.toMatchObject(REFUSED);
    await expect(client.query('alter table events disable trigger all')).rejects.toMatchObject(REFUSED);
    await expect(client.query('insert into fleet_states select * from fleet_states')).rejects.toMatchObject(
      REFUSED,
    );
    await expect(client.query('create table public.mine (v int)')).rejects.toMatchObject(REFUSED);
  });
}

/** Everything about a role that somebody could change, its password's hash included. */
const roleAsItIs = async (name: string): Promise<unknown> =>
  database.query(
    `select a.*, shobj_description(a.oid, 'pg_authid') as comment, setconfig
     from pg_authid a left join pg_db_role_setting on setrole = a.oid where rolname = $1`,
    [name],
  );

const rightsOf = async (name: string): Promise<unknown[]> =>
  database.query(
    `select relname from pg_class, aclexplode(relacl) where grantee = $1::regrole
     union all select proname from pg_proc, aclexplode(proacl) where grantee = $1::regrole
     union all select nspname from pg_namespace, aclexplode(nspacl) where grantee = $1::regrole`,
    [name],
  );

describe('with one URL', () => {
  it('of a superuser: a role of its own is made beside it', async () => {
    const url = await prepare(database.url);
    await expectLimited(url, `${database.name}_service`);
    expect(said).toEqual([]);
    expect(new URL(url).host).toBe(new URL(database.url).host);
    expect(url).not.toContain(new URL(database.url).password);
    expect(await prepare(database.url)).toBe(url);
  });

  it('of an owner that may make roles: the same', async () => {
    const owner = await limitedOwner('createrole');
    const url = await prepare(owner.url);
    await expectLimited(url, `${database.name}_service`);
    expect(said).toEqual([]);
    expect(await prepare(owner.url)).toBe(url);
    await expectLimited(url, `${database.name}_service`);
  });

  it('of an owner that may not: it works as the owner, says so, and the triggers protect the log', async () => {
    const owner = await limitedOwner('');
    for (let start = 1; start <= 2; start += 1) {
      expect(await prepare(owner.url)).toBe(owner.url);
      expect(said).toEqual(
        Array(start).fill(
          `The service runs as the owner of the log (${owner.name} may not make roles): ` +
            'only triggers keep its rows from being changed.',
        ),
      );
    }
    await asking(owner.url, async (client) => {
      expect(await statusesOf(through(client), [entry({ a: 0 })])).toEqual(['appended']);
      for (const sql of ['delete from events', 'update events set reason = reason', 'truncate events'])
        await expect(client.query(sql)).rejects.toMatchObject(REFUSED);
    });
    expect(
      await database.query('select from pg_roles where rolname = $1', [`${database.name}_service`]),
    ).toEqual([]);
  });

  it('of the service alone, on a log that its owner has made: it is used as it is', async () => {
    const service = newRole();
    const url = urlOf(service, 'secret');
    await prepare(database.url, url);
    expect(await prepare(url)).toBe(url);
    await expectLimited(url, service);
    expect(said).toEqual([]);
  });

  it.each([
    ['a superuser', 'superuser'],
    ['one that may make roles', 'createrole'],
  ])("of an owner, %s, whose password has changed: the role's password follows", async (_, attributes) => {
    const owner = await limitedOwner(attributes);
    const before = await prepare(owner.url);
    await database.query(`alter role ${owner.name} password 'second'`);
    const after = await prepare(urlOf(owner.name, 'second'));
    expect(after).not.toBe(before);
    await expectLimited(after, `${database.name}_service`);
    await expect(asking(before, () => Promise.resolve())).rejects.toMatchObject({ code: '28P01' });
    expect(said).toEqual([]);
  });
});

describe('a role of that name that somebody else has made', () => {
  let name: string;
  const warning = (): unknown =>
    expect.stringMatching(
      `^The service runs as the owner of the log .*${name}.*: only triggers keep its rows`,
    );

  beforeEach(async () => {
    name = `${database.name}_service`;
    await database.query(`create role ${name} login inherit connection limit 7 password 'of somebody else'`);
    await database.query(`alter role ${name} set statement_timeout = '7s'`);
  });

  it('is never altered; the service works as the owner and says so', async () => {
    const before = await roleAsItIs(name);
    expect(await prepare(database.url)).toBe(database.url);
    expect(await roleAsItIs(name)).toEqual(before);
    expect(said).toEqual([warning()]);
  });

  it('is never altered by an owner that may make roles, whatever its comment', async () => {
    await database.query(`comment on role ${name} is 'Reports.'`);
    const before = await roleAsItIs(name);
    const owner = await limitedOwner('createrole');
    expect(await prepare(owner.url)).toBe(owner.url);
    expect(await roleAsItIs(name)).toEqual(before);
    expect(said).toEqual([warning()]);
  });

  it('is not let into the log', async () => {
    await prepare(database.url);
    expect(await rightsOf(name)).toEqual([]);
  });
});

describe('with DATABASE_OWNER_URL and DATABASE_URL', () => {
  it.each([
    ['a superuser', 'superuser'],
    ['one that may make roles', 'createrole'],
  ])('the role is made when there is none: the owner is %s', async (_, attributes) => {
    const owner = await limitedOwner(attributes);
    const service = newRole();
    const url = urlOf(service, "p@ss:w/o'rd%");
    expect(await prepare(owner.url, url)).toBe(url);
    await expectLimited(url, service);
    expect(await prepare(owner.url, url)).toBe(url);
    expect(said).toEqual([]);
  });

  it.each(['superuser', 'createrole', ''])(
    'a role that there is gets its rights and nothing else: %s',
    async (attributes) => {
      const owner = await limitedOwner(attributes);
      const service = newRole();
      await database.query(`create role ${service} login password 'theirs'`);
      const before = await roleAsItIs(service);
      const url = urlOf(service, 'theirs');
      expect(await prepare(owner.url, url)).toBe(url);
      expect(await roleAsItIs(service)).toEqual(before);
      await expectLimited(url, service);
      expect(said).toEqual([]);
    },
  );

  it('a role with a capital and a quote in its name is that role', async () => {
    const service = `Svc"${randomBytes(4).toString('hex')}`;
    roles.push(pg.escapeIdentifier(service));
    const url = urlOf(encodeURIComponent(service), 'secret');
    expect(await prepare(database.url, url)).toBe(url);
    await expectLimited(url, service);
  });

  it('the start stops when there is no such role and the owner may not make it', async () => {
    const owner = await limitedOwner('');
    const service = newRole();
    await expect(prepare(owner.url, urlOf(service, 'secret'))).rejects.toThrow(
      `The role ${service} of DATABASE_URL does not exist, and ${owner.name} may not make it.`,
    );
  });

  it('that name the same role, it works as the owner and says so', async () => {
    expect(await prepare(database.url, database.url)).toBe(database.url);
    expect(said).toEqual([
      'The service runs as the owner of the log (DATABASE_URL and DATABASE_OWNER_URL name the same role): ' +
        'only triggers keep its rows from being changed.',
    ]);
  });

  it('a role that another database of the cluster makes at the same moment is used', async () => {
    const service = newRole();
    const url = urlOf(service, 'secret');
    const other = await database.connect();
    await other.query('begin');
    await other.query(`create role ${service} login noinherit password 'secret'`);
    const prepared = prepare(database.url, url);
    prepared.catch(() => undefined);
    await eventually(
      async () =>
        (
          await database.query(
            `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
               and query like 'create role%'`,
          )
        ).length === 1,
    );
    await other.query('commit');
    await other.end();
    expect(await prepared).toBe(url);
    await expectLimited(url, service);
  });
});
