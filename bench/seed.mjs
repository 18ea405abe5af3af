import { isDeepStrictEqual } from 'node:util';

import { leafHash } from '../dist/src/audit/core/leaf.js';
import { canonicalJson } from '../dist/src/event-store/event-format.js';
import { decide } from '../dist/src/lora/domain/decide.js';
import { evolve } from '../dist/src/lora/domain/state.js';

/** What a fleet goes through, again and again; @c@ is the number of the turn. It ends where it began. */
const TURN = [
  ['DeployAdapter', 'v@c@.1', 'ci', 'manual_deploy', 'CHG-@c@1'],
  ['DeployAdapter', 'v@c@.2', 'ci', 'manual_deploy', 'CHG-@c@2'],
  ['RollBackLora', null, 'ana', 'error rate above 2 % in canary', 'INC-@c@1'],
  ['DisableLora', null, 'ana', 'answers in the wrong language', 'INC-@c@2'],
  ['DisableLora', null, 'ben', 'answers in the wrong language', null],
  ['EnableLora', null, 'ben', 'manual_operation', 'INC-@c@2'],
  ['DeployAdapter', 'v@c@.3', 'ci', 'manual_deploy', 'CHG-@c@3'],
  ['DisableLora', null, 'alertmanager', 'latency p99 above 4 s', 'ALERT-@c@'],
  ['RollBackLora', null, 'ana', 'manual_operation', 'INC-@c@3'],
  ['EnableLora', null, 'ana', 'manual_operation', 'INC-@c@3'],
  ['DeployAdapter', 'v@c@.4', 'ci', 'manual_deploy', 'CHG-@c@4'],
  ['DeployAdapter', 'v@c@.5', 'ci', 'manual_deploy', 'CHG-@c@5'],
  ['RollBackLora', 'base', 'ben', 'back to the version of the quarter', null],
];

const fleetsOf = (count) => [
  'default',
  ...Array.from({ length: count - 1 }, (_, nth) => `fleet-${String(nth + 1).padStart(2, '0')}`),
];
/** Made at the start and never touched again. */
export const QUIET_FLEET = 'quiet';
const CHUNK = 25_000;

/**
 * Fills an empty log with `count` events, as append_batch would have: bodies, hashes, states and keys are those of
 * the domain's own decide and evolve, made once for each step of a turn; SQL fills in what differs from row to row.
 */
export async function seed(stage, database, count, fleets = 20) {
  const names = [...fleetsOf(fleets), QUIET_FLEET];
  const made = JSON.stringify(steps());
  const indexes = await stage.asOwner(database, dropIndexes);
  const chunks = Array.from({ length: Math.ceil(count / CHUNK) }, (_, nth) => nth * CHUNK + 1);
  const fill = async (client) => {
    await client.query('set synchronous_commit = off');
    for (let from = chunks.shift(); from !== undefined; from = chunks.shift()) {
      const to = Math.min(count, from + CHUNK - 1);
      await client.query(ROWS, [from, to, count, names, TURN.length, made, fleets]);
    }
  };
  await Promise.all([stage.asOwner(database, fill), stage.asOwner(database, fill)]);
  await stage.asOwner(database, async (client) => {
    await client.query("set maintenance_work_mem = '512MB'");
    for (const definition of indexes) await client.query(definition);
    await client.query(
      `update log_head set (position, recorded_at) =
         (select position, recorded_at from events order by position desc limit 1)`,
    );
    // What the history room and autovacuum would have done by now, and what would else disturb the measuring.
    for (let left = count; left > 0;)
      left = Number((await client.query('select tally_log(50000) as left')).rows[0].left);
    const tallies = ['event_kinds', 'event_tallies', 'disabled_spells'];
    for (const name of ['events', 'fleet_states', 'command_keys', ...tallies])
      await client.query(`vacuum (analyze) ${name}`);
    await client.query('checkpoint');
    await verify(client, count);
  });
}

/** Making them at the end is faster than keeping them up. @returns what makes them again */
async function dropIndexes(client) {
  const { rows } = await client.query(
    `select indexrelid::regclass as name, pg_get_indexdef(indexrelid) as definition from pg_index
     where indrelid in ('events'::regclass, 'fleet_states'::regclass)
       and not exists (select from pg_constraint where conindid = indexrelid)`,
  );
  for (const { name } of rows) await client.query(`drop index ${name}`);
  return rows.map(({ definition }) => definition);
}

function steps() {
  const made = [step(null, ['InitializeFleet', 'base', 'system', 'first_start', null], true, 0)];
  let { state } = made[0];
  for (const turn of [1, 2]) {
    const steps = TURN.map((each, nth) => {
      const next = step(state, each, false, nth);
      ({ state } = next);
      return next;
    });
    if (turn === 1) made.push(...steps);
    else if (!isDeepStrictEqual(steps, made.slice(1))) throw new Error('A turn does not end where it began.');
  }
  return made.map(({ state, ...rest }) => ({ ...rest, state: JSON.stringify(state) }));
}

function step(before, [type, adapterVersion, who, reason, reference], first, nth) {
  const event = decide(
    { type, fleet: '@fleet@', adapterVersion, enabled: true, reason, reference },
    before,
    null,
  );
  const body = {
    schema_version: 1,
    id: '@id@',
    ...event,
    actor: first ? who : `token:${who}`,
    auth: first ? 'boot' : 'token',
    source: 'loractl/1.4',
    remote_address: '10.20.30.40',
    request_id: '@request@',
    idempotency_key: '@key@',
  };
  return { first, nth, body: canonicalJson(body), state: evolve(before, body) };
}

/** Positions $1 to $2 of $3: first every fleet is made, then all but the quiet one in turn; 7 s and some µs apart. */
const ROWS = `
with places as (
  select p, p <= $7::int + 1 as first, case when p <= $7 + 1 then p else (p - $7 - 2) % $7 + 1 end as fleet_nth,
    (p - $7 - 2) / $7 as age,
    date_trunc('second', now()) - ($3::bigint - p + 1) * interval '7 seconds' + p * 7919 % 1000000 * interval '1 us' as t
  from generate_series($1::bigint, $2::bigint) p
), filled as materialized (
  select p, t, fleet, uuidv7(t - clock_timestamp()) as id, gen_random_uuid()::text as key,
    s.body, replace(s.state, '@c@', (age / $5::int)::text)::jsonb as state, (age / $5::int)::text as turn
  from places
  cross join lateral (select ($4::text[])[fleet_nth] as fleet) f
  join jsonb_to_recordset($6) as s(first boolean, nth int, body text, state text) on s.first = places.first 
    and s.nth = case when places.first then 0 else age % $5::int end
), made as materialized (
  select p, t, fleet as f, id, key, state, replace(replace(replace(replace(replace(body, '@c@', turn), '@fleet@', fleet),
    '@id@', id::text), '@key@', key), '@request@', gen_random_uuid()::text) as body
  from filled
), appended as (
  insert into events (position, recorded_at, leaf_hash, body, id, type, fleet, adapter_version, from_version,
    to_version, enabled, reason, reference, actor)
  select p, t, sha256('\\x00'::bytea || int8send(p) || int8send((extract(epoch from t) * 1000000)::bigint)
    || sha256(convert_to(body, 'UTF8'))), body, id, b.*
  from (select * from made order by p) m
  cross join lateral jsonb_to_record(body::jsonb) as b(type text, fleet text, adapter_version text, from_version text,
    to_version text, enabled boolean, reason text, reference text, actor text)
), projected as (
  insert into fleet_states (fleet, generation, recorded_at, state) select f, p, t, state from made order by p
)
insert into command_keys (caller, key, fingerprint, first_position, last_position)
select 'bench', key, sha256(convert_to(body, 'UTF8')), p, p from made order by p`;

/** Folds the first and the last events anew: the log must be one that the service could have written. */
async function verify(client, count) {
  const { rows: all } = await client.query(
    'select count(*)::int as events, max(position)::int as head from events',
  );
  if (all[0].events !== count || all[0].head !== count) throw new Error('The log that was built has gaps.');
  const { rows } = await client.query(
    `select e.position::int, rfc3339(e.recorded_at) as recorded_at, e.leaf_hash, e.body, s.state
     from events e join fleet_states s on s.fleet = e.fleet and s.generation = e.position
     where e.position <= 5000 or e.position > $1 order by e.position`,
    [count - 5000],
  );
  const states = new Map();
  let last = 0;
  for (const { position, recorded_at: at, leaf_hash: leaf, body, state } of rows) {
    if (position !== last + 1) states.clear();
    last = position;
    const event = JSON.parse(body);
    const before = states.get(event.fleet) ?? null;
    states.set(event.fleet, state);
    if (!leafHash(position, at, body).equals(leaf)) throw new Error(`Wrong leaf at ${position}.`);
    if (canonicalJson(event) !== body) throw new Error(`Not canonical at ${position}.`);
    const foldable = before !== null || event.type === 'LoraInitialized';
    if (foldable && !isDeepStrictEqual(evolve(before, event), state))
      throw new Error(`Wrong state at ${position}.`);
  }
}
