import { setTimeout as sleep } from 'node:timers/promises';

import pg from 'pg';

import {
  type Comparison,
  Fold,
  headPosition,
  ProjectionError,
  type ProjectionOptions,
} from './projection.js';

const OLD = 'public.fleet_states';
const NEW = 'public.fleet_states_rebuilt';

/** Names the lock that keeps two rebuilds apart; any constant does. */
const REBUILD_LOCK = 0x10_4b;

/** While the swap waits for one who reads, all others wait behind it: far less than a command's deadline. */
const SWAP_WAIT_MS = 300;
const SWAP_PAUSE_MS = 1000;
const SWAP_TRIES = 60;

/**
 * Folds the log into a new table and puts it in the place of fleet_states. Others go on meanwhile; they wait for the
 * moment of the swap, or {@link SWAP_WAIT_MS} behind somebody's long read, before which the swap gives way to try
 * again. A transaction of theirs at `repeatable read` that began before the swap finds the new table empty; the
 * service has no such.
 * @param client the owner of the tables
 * @returns how the rows that were replaced differed; superfluous ones are not counted
 * @throws ProjectionError as verifyProjection does, and when another rebuild runs or the table is never free
 */
export async function rebuildProjection(client: pg.Client, options: ProjectionOptions): Promise<Comparison> {
  const { rows } = await client.query<{ locked: boolean }>('select pg_try_advisory_lock($1) as locked', [
    REBUILD_LOCK,
  ]);
  if (!rows[0]?.locked) throw new ProjectionError('Another rebuild is running.');
  try {
    await headPosition(client);
    await createNew(client);
    const fold = new Fold(client, options);
    for (let tries = 1; ; tries += 1) {
      await catchUp(client, fold);
      if (tries === 1) await client.query(`analyze ${NEW}`);
      const obstacle = await swap(client, fold);
      if (obstacle === undefined) return fold.comparison;
      if (tries === SWAP_TRIES) throw new ProjectionError(obstacle);
      options.say(`${obstacle} Trying again.`);
      await sleep(SWAP_PAUSE_MS, undefined, { signal: options.signal });
    }
  } finally {
    // After a swap there is none of this name; without a connection there is nothing to be done.
    await client.query(`drop table if exists ${NEW}`).catch(() => undefined);
    await client.query('select pg_advisory_unlock($1)', [REBUILD_LOCK]).catch(() => undefined);
  }
}

async function createNew(client: pg.Client): Promise<void> {
  await client.query(`drop table if exists ${NEW}; create table ${NEW} (like ${OLD} including all)`);
  const { rows } = await client.query<{ owner: string }>(
    'select pg_get_userbyid(relowner) as owner from pg_class where oid = $1::regclass',
    [OLD],
  );
  await client.query(`alter table ${NEW} owner to ${pg.escapeIdentifier(rows[0]?.owner ?? '')}`);
}

/** Folds what there is into the new table, and what comes meanwhile, until next to nothing is left. */
async function catchUp(client: pg.Client, fold: Fold): Promise<void> {
  for (let head = await headPosition(client); fold.position < head; head = await headPosition(client)) {
    await foldTo(client, fold, head);
  }
}

async function foldTo(client: pg.Client, fold: Fold, head: number): Promise<void> {
  while (fold.position < head) {
    await client.query(
      `insert into ${NEW} (fleet, generation, recorded_at, state)
       select e.fleet, e.position, e.recorded_at, folded.state
       from jsonb_to_recordset($1) as folded(position bigint, state jsonb) join events e using (position)`,
      [JSON.stringify(await fold.nextPage(head))],
    );
  }
}

/**
 * Under the head's lock folds what is left and puts the new table in the old one's place.
 * @returns what was in the way, in a sentence; nothing has changed then
 */
async function swap(client: pg.Client, fold: Fold): Promise<string | undefined> {
  let waitingFor = '';
  await client.query('begin');
  try {
    // Hinders neither readers nor writers, and sends away a vacuum, which would hold up the last lock.
    waitingFor = `${OLD} is being changed or vacuumed.`;
    await client.query(`set local idle_in_transaction_session_timeout = 1000; set local lock_timeout = 5000;
      lock table ${OLD} in share update exclusive mode; lock table ${NEW} in access exclusive mode`);

    // The head first, as writers do.
    waitingFor = 'The head of the log was not free.';
    await client.query(`set local lock_timeout = ${SWAP_WAIT_MS}`);
    const head = await lockedHead(client);
    if (head - fold.position > 2 * fold.pageSize) {
      await client.query('rollback');
      return 'Too many events had come meanwhile.';
    }
    waitingFor = `${OLD} is being read for long.`;
    await client.query(`lock table ${OLD} in access exclusive mode`);

    await foldTo(client, fold, head);
    const inheritance = await statementsOf(client);
    await client.query(`drop table ${OLD}; alter table ${NEW} rename to fleet_states; ${inheritance}`);
    await client.query('commit');
    return undefined;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    if (error instanceof pg.DatabaseError && error.code === LOCK_NOT_AVAILABLE) return waitingFor;
    throw error;
  }
}

const LOCK_NOT_AVAILABLE = '55P03';

async function lockedHead(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ position: string }>('select position from log_head for update');
  return Number(rows[0]?.position);
}

/** What `like` leaves behind: the table's comment, who may do what with it, the names of indexes and constraints. */
async function statementsOf(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ statement: string }>(
    `
    select format('comment on table ${OLD} is %L', obj_description($1::regclass, 'pg_class')) as statement
    union all
    select format('grant %s on ${OLD} to %s%s', acl.privilege_type,
      case acl.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end,
      case when acl.is_grantable then ' with grant option' else '' end)
    from pg_class c, aclexplode(c.relacl) acl where c.oid = $1::regclass and acl.grantee <> c.relowner
    union all
    select format('alter table ${OLD} rename constraint %I to %I', new.conname, old.conname)
    from pg_constraint old
    join pg_constraint new
      on new.contype = old.contype and pg_get_constraintdef(new.oid) = pg_get_constraintdef(old.oid)
    where old.conrelid = $1::regclass and new.conrelid = $2::regclass and new.conname <> old.conname
    union all
    select format('alter index public.%I rename to %I', new.relname, old.relname)
    from (${PLAIN_INDEXES}) old join (${PLAIN_INDEXES}) new using (is_unique, definition)
    where old.indrelid = $1::regclass and new.indrelid = $2::regclass
    `,
    [OLD, NEW],
  );
  return rows.map(({ statement }) => statement).join('; ');
}

/** Indexes that no constraint owns; a definition without the names in it. */
const PLAIN_INDEXES = `
  select c.relname, i.indrelid, i.indisunique as is_unique,
    substring(pg_get_indexdef(i.indexrelid) from ' USING .*') as definition
  from pg_index i join pg_class c on c.oid = i.indexrelid
  where not exists (select from pg_constraint where conindid = i.indexrelid)
`;
