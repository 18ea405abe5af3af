import type { TestDatabase } from '../support/database.js';

/** Appends events of a fleet of their own, as the log's function would have; while no service looks. */
export async function lengthen(database: TestDatabase, events: number): Promise<void> {
  await database.query(
    `with more as (
       select h.position + n as position, h.recorded_at + n * interval '1 millisecond' as recorded_at,
         gen_random_uuid() as id from log_head h, generate_series(1, $1::int) n
     ), events_added as (
       insert into events (position, recorded_at, leaf_hash, body, id, type, fleet, adapter_version, from_version,
         to_version, enabled, reason, reference, actor)
       select m.position, m.recorded_at, sha256('\\x00'::bytea || int8send(m.position)
           || int8send((extract(epoch from m.recorded_at) * 1000000)::bigint) || sha256(convert_to(b.body, 'UTF8'))),
         b.body, m.id, f.type, 'long', f.adapter_version, f.from_version, f.to_version, f.enabled, f.reason,
         f.reference, f.actor
       from more m cross join lateral (
         select type, adapter_version, from_version, to_version, enabled, reason, reference, actor, id, body
         from events where position = 1
       ) f cross join lateral (
         select replace(replace(f.body, f.id::text, m.id::text), '"fleet":"default"', '"fleet":"long"') as body
       ) b
     ), states_added as (
       insert into fleet_states (fleet, generation, recorded_at, state)
       select 'long', m.position, m.recorded_at, s.state from more m, fleet_states s where s.generation = 1
     )
     update log_head set (position, recorded_at) = (select max(position), max(recorded_at) from more)`,
    [events],
  );
}
