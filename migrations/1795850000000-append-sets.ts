import type { MigrationInterface, QueryRunner } from 'typeorm';

import { AppendTogether1795580000000 } from './1795580000000-append-together.js';

/**
 * Appends every entry with one statement, whatever the number of its fleets: the time of a kill of all fleets grows
 * with their number, and no longer with its square.
 */
export class AppendSets1795850000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(APPEND_EVENTS);
    await runner.query(APPEND_TOGETHER);
    await runner.query(APPEND_BATCH);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      do $$
      begin
        if exists (select from events) then
          raise exception 'the log is not empty: it is never dropped';
        end if;
      end
      $$;
      drop function append_alone(jsonb, log_head), append_together(jsonb, log_head), append_events(jsonb, log_head);
    `);
    await new AppendTogether1795580000000().up(runner);
  }
}

const APPEND_EVENTS = `
create function append_events(p_entries jsonb, p_head log_head) returns jsonb language plpgsql as $$
declare
  v_time    timestamptz := greatest(clock_timestamp(), p_head.recorded_at + interval '1 microsecond');
  v_sound   boolean;
  v_last    bigint;
  v_results jsonb;
begin
  if not jsonb_path_exists(p_entries, '$[*].events[*]') then
    -- Without the tables, which somebody else may have locked.
    return jsonb_build_object('position', p_head.position, 'recorded_at', p_head.recorded_at, 'results',
      (select jsonb_agg(jsonb_build_object('status', 'confirmed')) from jsonb_array_elements(p_entries)));
  end if;

  -- What grows with the number of fleets is in no row of which there is one for each of them, because sorting copies
  -- rows, and the results are not gathered by jsonb_agg, which takes the square of the length of an array within.
  with entry as materialized (
    select n, e ->> 'caller' as caller, e ->> 'key' as key, decode(e ->> 'fingerprint', 'hex') as fingerprint,
      e -> 'expect' as expect
    from jsonb_array_elements(p_entries) with ordinality as entries(e, n)
  ), numbered as (
    select n, v ->> 'body' as body, v -> 'state' as state, row_number() over (order by n, m) as nth
    from jsonb_array_elements(p_entries) with ordinality as entries(e, n)
    cross join lateral jsonb_array_elements(e -> 'events') with ordinality as event(v, m)
  ), event as materialized (
    select n, body, state, p_head.position + nth as position,
      v_time + (nth - 1) * interval '1 microsecond' as recorded_at,
      id, type, fleet, adapter_version, from_version, to_version, enabled, reason, reference, actor
    from numbered cross join lateral jsonb_to_record(body::jsonb) as fields(id uuid, type text, fleet text,
      adapter_version text, from_version text, to_version text, enabled boolean, reason text, reference text,
      actor text)
  ), logged as (
    insert into events (position, recorded_at, leaf_hash, body, id, type, fleet, adapter_version,
      from_version, to_version, enabled, reason, reference, actor)
    select position, recorded_at,
      sha256('\\x00'::bytea || int8send(position)
        || int8send((extract(epoch from recorded_at) * 1000000)::bigint) || sha256(convert_to(body, 'UTF8'))),
      body, id, type, fleet, adapter_version, from_version, to_version, enabled, reason, reference, actor
    from event order by position
  ), projected as (
    insert into fleet_states (fleet, generation, recorded_at, state)
    select fleet, position, recorded_at, state from event order by position
  ), appended as materialized (
    select n, min(position) as first, max(position) as last,
      jsonb_agg(rfc3339(recorded_at) order by position) as times
    from event group by n
  ), remembered as (
    insert into command_keys (caller, key, fingerprint, first_position, last_position)
    select caller, key, fingerprint, first, last from entry join appended using (n)
  )
  select not exists (
      select n, fleet from event except select n, jsonb_object_keys(expect) from entry
    ), max(last), to_jsonb(array_agg(case
      when last is null then jsonb_build_object('status', 'confirmed')
      else jsonb_build_object('status', 'appended', 'first', first, 'last', last, 'recorded_at', times)
    end order by n))
  into v_sound, v_last, v_results
  from entry left join appended using (n);

  if not v_sound then
    raise exception 'an event of a fleet that its entry does not name';
  end if;
  return jsonb_build_object('results', v_results, 'position', coalesce(v_last, p_head.position), 'recorded_at',
    case when v_last is null then p_head.recorded_at
      else v_time + (v_last - p_head.position - 1) * interval '1 microsecond' end);
end
$$;
comment on function append_events(jsonb, log_head) is
  'The part of append_batch that writes the events, states and keys of entries, all with one statement, unchecked: '
  'the results, and the position and time of the head after them. The head is locked, and moved, by the caller.';
revoke execute on function append_events(jsonb, log_head) from public;
`;

const APPEND_TOGETHER = `
create or replace function append_together(p_entries jsonb, p_head log_head) returns jsonb language plpgsql as $$
declare
  v_unusual boolean;
  v_done    jsonb;
  v_last    bigint;
begin
  -- The key is looked up for each entry: a join would read all keys there are.
  select bool_or((e ->> 'all_fleets')::boolean or (
      select k.first_position from command_keys k where k.caller = e ->> 'caller' and k.key = e ->> 'key'
    ) is not null) or count(distinct (e ->> 'caller', e ->> 'key')) < count(*)
  into v_unusual from jsonb_array_elements(p_entries) as e;
  if v_unusual or exists (
    select from (
      select distinct x.key, x.value from jsonb_array_elements(p_entries) as e, jsonb_each_text(e -> 'expect') as x
    ) as expected(fleet, generation)
    where expected.generation::bigint <> coalesce(
      (select max(s.generation) from fleet_states s where s.fleet = expected.fleet), 0)
  ) then
    return null;
  end if;

  v_done := append_events(p_entries, p_head);
  v_last := v_done ->> 'position';
  if v_last > p_head.position then
    update log_head set position = v_last, recorded_at = (v_done ->> 'recorded_at')::timestamptz;
    perform pg_notify('lora_log', v_last::text);
  end if;
  return jsonb_build_object('log_id', p_head.log_id, 'position', v_last, 'results', v_done -> 'results', 'since', null);
end
$$;
`;

const APPEND_BATCH = `
create or replace function append_batch(p_entries jsonb, p_log_id uuid default null, p_known bigint default null)
returns jsonb
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  v_head      log_head%rowtype;
  v_entry     jsonb;
  v_expect    jsonb;
  v_fleets    text[];
  -- Fleets by name, as in expect: looked up and joined in no more time than their number takes.
  v_checked   jsonb := '{}';
  v_stopped   jsonb := '{}';
  v_known     command_keys%rowtype;
  v_done      jsonb;
  v_result    jsonb;
  v_status    text;
  v_results   jsonb[] := '{}';
  v_appended  boolean := false;
  v_conflict  boolean := false;
begin
  select * into strict v_head from log_head for update;
  if v_head.log_id <> p_log_id then
    return jsonb_build_object('since', log_since(p_known));
  end if;

  v_result := case when jsonb_array_length(p_entries) = 1 then append_alone(p_entries -> 0, v_head)
    else append_together(p_entries, v_head) end;
  if v_result is not null then
    return v_result;
  end if;

  for v_entry in select value from jsonb_array_elements(p_entries) with ordinality order by ordinality loop
    v_expect := v_entry -> 'expect';
    v_fleets := array(select k from jsonb_object_keys(v_expect) k order by k collate "C");

    select * into v_known from command_keys
      where caller = v_entry ->> 'caller' and key = v_entry ->> 'key';
    if found then
      v_result := jsonb_build_object('first', v_known.first_position, 'last', v_known.last_position,
        'id', (select id from events where position = v_known.first_position),
        'status', case when v_known.fingerprint = decode(v_entry ->> 'fingerprint', 'hex')
          then 'duplicate' else 'key_reused' end);
    elsif v_stopped ?| v_fleets then
      v_result := '{"status": "retry"}';
    elsif exists (
      select from jsonb_each_text(v_expect) as expected(fleet, generation)
      where not v_checked ? expected.fleet and expected.generation::bigint <> coalesce(
        (select max(s.generation) from fleet_states s where s.fleet = expected.fleet), 0)
    ) or ((v_entry ->> 'all_fleets')::boolean
      and v_fleets <> array(select f from fleet_names() f order by f collate "C")) then
      v_result := '{"status": "conflict"}';
      v_conflict := true;
    else
      v_done := append_events(jsonb_build_array(v_entry), v_head);
      v_head.position := v_done ->> 'position';
      v_head.recorded_at := v_done ->> 'recorded_at';
      v_checked := v_checked || v_expect;
      v_result := v_done #> '{results,0}';
    end if;

    v_status := v_result ->> 'status';
    v_appended := v_appended or v_status = 'appended';
    if v_status not in ('appended', 'confirmed') then
      v_stopped := v_stopped || v_expect;
    end if;
    v_results := array_append(v_results, v_result);
  end loop;

  if v_appended then
    update log_head set position = v_head.position, recorded_at = v_head.recorded_at;
    perform pg_notify('lora_log', v_head.position::text);
  end if;
  return jsonb_build_object('log_id', v_head.log_id, 'position', v_head.position, 'results', to_jsonb(v_results),
    'since', case when v_conflict and p_known is not null then log_since(p_known) end);
end
$$;
`;
