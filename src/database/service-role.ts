import { createHash, createHmac } from 'node:crypto';

import pg from 'pg';

/** What the service's role may do in the database, and no more: read, and call the functions that append. */
const READABLE = [
  ...['migrations', 'log_head', 'events', 'fleet_states', 'command_keys', 'log_adoptions'],
  ...[
    'engine_registrations',
    'engine_instances',
    'engine_presence',
    'engine_presence_epoch',
    'kill_rolls',
    'kill_acknowledgements',
  ],
  ...['access_changes', 'caller_names', 'checkpoints', 'refusals'],
  ...['tally_head', 'event_kinds', 'event_tallies', 'disabled_spells'],
];
const CALLABLE = [
  ...['lock_head(bigint)', 'append_batch(jsonb, uuid, bigint)'],
  ...['record_access(double precision, text, text, jsonb)', 'record_refusals(text, jsonb)'],
  'record_caller_name(double precision, text, text)',
  'keep_checkpoint(uuid, bigint, bytea, text, text)',
  ...[
    'report_engines_of(jsonb, integer)',
    'remove_engine(text, text, uuid, integer)',
    'engine_presence_since()',
  ],
  'tally_log(integer)',
];

const OURS = 'Service role of the LoRA control plane: may read the log and append to it, never change it.';

/**
 * Gives the service a role of its own that can neither own nor change the log.
 * @param owner an open connection of the role that owns the tables, holding the lock of the start
 * @param ownerUrl how that role connects
 * @param serviceUrl how the service shall connect; absent: a role beside the owner is made for it
 * @returns the URL with which the service logs in, and a warning where the triggers must protect the log alone
 */
export async function ensureServiceRole(
  owner: pg.Client,
  ownerUrl: string,
  serviceUrl: string | undefined,
): Promise<{ url: string; warning?: string }> {
  const url = new URL(serviceUrl ?? besideOwner(ownerUrl));
  const role = decodeURIComponent(url.username);
  const me = await one<{ name: string; may_make_roles: boolean; owns: boolean }>(
    owner,
    `select current_user as name, rolsuper or rolcreaterole as may_make_roles,
       rolsuper or exists (select from pg_class where oid = to_regclass('events') and relowner = r.oid) as owns
     from pg_roles r where rolname = current_user`,
  );
  const unprotected = (why: string) => ({
    url: ownerUrl,
    warning: `The service runs as the owner of the log (${why}): only triggers keep its rows from being changed.`,
  });

  if (serviceUrl === undefined && !me.owns) return { url: ownerUrl };
  if (role === me.name) return unprotected('DATABASE_URL and DATABASE_OWNER_URL name the same role');

  const known = await owner.query<{ description: string | null }>(
    "select shobj_description(oid, 'pg_authid') as description from pg_roles where rolname = $1",
    [role],
  );
  const stranger = known.rows[0] !== undefined && known.rows[0].description !== OURS;
  if (serviceUrl === undefined && stranger) return unprotected(`somebody else has made the role ${role}`);
  if (known.rows[0] === undefined) {
    if (!me.may_make_roles) {
      if (serviceUrl === undefined) return unprotected(`${me.name} may not make roles`);
      throw new Error(`The role ${role} of DATABASE_URL does not exist, and ${me.name} may not make it.`);
    }
    await makeRole(owner, url);
  }
  await owner.query(`grant usage on schema public to ${id(role)}`);
  await owner.query(`grant select on ${READABLE.join(', ')} to ${id(role)}`);
  await owner.query(`grant execute on function ${CALLABLE.join(', ')} to ${id(role)}`);

  if (serviceUrl !== undefined || (await canLogIn(url))) return { url: url.href };
  // The owner's password may have changed since the role was made.
  if (me.may_make_roles) {
    await setPassword(owner, url);
    if (await canLogIn(url)) return { url: url.href };
  }
  return unprotected(`the role ${role} cannot log in`);
}

/** All or nothing: a role without its comment would be a stranger's for ever. */
async function makeRole(owner: pg.Client, url: URL): Promise<void> {
  const role = id(decodeURIComponent(url.username));
  await owner.query('begin');
  try {
    await owner.query(`create role ${role} login noinherit`);
    await owner.query(`comment on role ${role} is ${text(OURS)}`);
    await setPassword(owner, url);
    await owner.query('commit');
  } catch (error) {
    await owner.query('rollback');
    // Roles belong to the whole cluster: a service of another database may have been faster.
    const exists = error instanceof pg.DatabaseError && (error.code === '42710' || error.code === '23505');
    if (!exists) throw error;
  }
}

/** A role named after the database, with a password that every replica derives from the owner's. */
function besideOwner(ownerUrl: string): string {
  const url = new URL(ownerUrl);
  const database = decodeURIComponent(url.pathname.slice(1)) || decodeURIComponent(url.username);
  // A long name is cut to what PostgreSQL keeps, with a digest so that two of them stay two.
  const name =
    database.length <= 50
      ? database
      : `${database.slice(0, 40)}_${createHash('sha256').update(database).digest('hex').slice(0, 8)}`;
  url.username = encodeURIComponent(`${name}_service`);
  if (url.password !== '') {
    const key = decodeURIComponent(url.password);
    url.password = createHmac('sha256', key).update(`service role of ${database}`).digest('hex');
  }
  return url.href;
}

async function setPassword(owner: pg.Client, url: URL): Promise<void> {
  const password = decodeURIComponent(url.password);
  const role = id(decodeURIComponent(url.username));
  await owner.query(`alter role ${role} password ${password === '' ? 'null' : text(password)}`);
}

/** Tries the role; anything but a refused login is an error of the database, not of the role. */
async function canLogIn(url: URL): Promise<boolean> {
  const client = new pg.Client({ connectionString: url.href, connectionTimeoutMillis: 5000 });
  try {
    await client.connect();
    return true;
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code?.startsWith('28')) return false;
    if (error instanceof Error && error.message.includes('password must be a string')) return false;
    throw error;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function one<T extends object>(client: pg.Client, sql: string): Promise<T> {
  const { rows } = await client.query<T>(sql);
  const row = rows[0];
  if (row === undefined) throw new Error('A query that always has one row had none.');
  return row;
}

const id = (name: string): string => pg.escapeIdentifier(name);
const text = (value: string): string => pg.escapeLiteral(value);
