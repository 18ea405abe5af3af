import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Appends what has nothing unusual about it on shorter ways than the loop over entries: a command that comes alone, and
 * a batch with one statement for all its commands.
 */
export class AppendTogether1795580000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(rfc3339('stable'));
    await runner.query(APPEND_ALONE);
    await runner.query(APPEND_TOGETHER);
    await runner.query(appendBatch(SHORTER_WAYS));
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(REFUSE_UNLESS_EMPTY);
    await runner.query(appendBatch(''));
    await runner.query('drop function append_alone(jsonb, log_head), append_together(jsonb, log_head)');
    await runner.query(rfc3339('immutable'));
  }
}

const REFUSE_UNLESS_EMPTY = `
do $$
begin
  if exists (select from events) then
    raise exception 'the log is not empty: it is never dropped';
  end if;
end
$$;
`;

/** What calls only what is stable is inlined only when it says no more of itself. */
const rfc3339 = (volatility: 'stable' | 'immutable'): string => `
create or replace function rfc3339(p_time timestamptz) returns text language sql ${volatility} as $$
  select to_char(p_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
`;

const APPEND_ALONE = `
create function append_alone(p_entry jsonb, p_head log_head) returns jsonb language plpgsql as $$
declare
  v_event      jsonb := p_entry #> '{events,0}';
  v_body       text := v_event ->> 'body';
  v_fields     jsonb := v_body::jsonb;
  v_fleet      text := v_fields ->> 'fleet';
  v_position   bigint := p_head.position + 1;
  v_time       timestamptz := greatest(clock_timestamp(), p_head.recorded_at + interval '1 microsecond');
  v_known      boolean;
  v_generation bigint;
begin
  select exists (select from command_keys where caller = p_entry ->> 'caller' and key = p_entry ->> 'key'),
    coalesce((select max(generation) from fleet_states where fleet = v_fleet), 0)
  into v_known, v_generation;
  if v_known or v_fleet is null or (p_entry ->> 'all_fleets')::boolean
    or jsonb_array_length(p_entry -> 'events') > 1
    or p_entry -> 'expect' <> jsonb_build_object(v_fleet, v_generation) then
    return null;
  end if;

  insert into events (position, recorded_at, leaf_hash, body, id, type, fleet, adapter_version,
    from_version, to_version, enabled, reason, reference, actor)
  values (v_position, v_time,
    sha256('\\x00'::bytea || int8send(v_position)
      || int8send((extract(epoch from v_time) * 1000000)::bigint) || sha256(convert_to(v_body, 'UTF8'))),
    v_body, (v_fields ->> 'id')::uuid, v_fields ->> 'type', v_fleet,
    v_fields ->> 'adapter_version', v_fields ->> 'from_version', v_fields ->> 'to_version',
    (v_fields ->> 'enabled')::boolean, v_fields ->> 'reason', v_fields ->> 'reference', v_fields ->> 'actor');
  insert into fleet_states (fleet, generation, recorded_at, state)
  values (v_fleet, v_position, v_time, v_event -> 'state');
  insert into command_keys (caller, key, fingerprint, first_position, last_position)
  values (p_entry ->> 'caller', p_entry ->> 'key', decode(p_entry ->> 'fingerprint', 'hex'), v_position, v_position);
  update log_head set position = v_position, recorded_at = v_time;
  perform pg_notify('lora_log', v_position::text);
  return jsonb_build_object('log_id', p_head.log_id, 'position', v_position, 'since', null,
    'results', jsonb_build_array(jsonb_build_object('status', 'appended', 'first', v_position, 'last', v_position,
      'recorded_at', jsonb_build_array(rfc3339(v_time)))));
end
$$;
comment on function append_alone(jsonb, log_head) is
  'The part of append_batch for a single entry of one event that is neither a duplicate nor a conflict; null, with '
  'nothing done, for any other. The head is locked by the caller.';
revoke execute on function append_alone(jsonb, log_head) from public;
`;

const APPEND_TOGETHER = `
create function append_together(p_entries jsonb, p_head log_head) returns jsonb language plpgsql as $$
declare
  v_time    timestamptz := greatest(clock_timestamp(), p_head.recorded_at + interval '1 microsecond');
  v_unusual boolean;
  v_sound   boolean;
  v_last    bigint;
  v_results jsonb;
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

  with entry as materialized (
    select n, e ->> 'caller' as caller, e ->> 'key' as key, decode(e ->> 'fingerprint', 'hex') as fingerprint,
      e -> 'expect' as expect, e -> 'events' as events
    from jsonb_array_elements(p_entries) with ordinality as entries(e, n)
  ), numbered as (
    select n, expect, v ->> 'body' as body, v -> 'state' as state, row_number() over (order by n, m) as nth
    from entry cross join lateral jsonb_array_elements(events) with ordinality as event(v, m)
  ), event as materialized (
    select n, body, state, expect ? fleet as named, p_head.position + nth as position,
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
    select n, bool_and(named) as sound, min(position) as first, max(position) as last,
      jsonb_agg(rfc3339(recorded_at) order by position) as times
    from event group by n
  ), remembered as (
    insert into command_keys (caller, key, fingerprint, first_position, last_position)
    select caller, key, fingerprint, first, last from entry join appended using (n)
  )
  select bool_and(sound), max(last), jsonb_agg(case
      when last is null then jsonb_build_object('status', 'confirmed')
      else jsonb_build_object('status', 'appended', 'first', first, 'last', last, 'recorded_at', times)
    end order by n)
  into v_sound, v_last, v_results
  from entry left join appended using (n);

  if not v_sound then
    raise exception 'an event of a fleet that its entry does not name';
  end if;
  if v_last is not null then
    update log_head set position = v_last,
      recorded_at = v_time + (v_last - p_head.position - 1) * interval '1 microsecond';
    perform pg_notify('lora_log', v_last::text);
  end if;
  return jsonb_build_object('log_id', p_head.log_id, 'position', coalesce(v_last, p_head.position),
    'results', v_results, 'since', null);
end
$$;
comment on function append_together(jsonb, log_head) is
  'The part of append_batch for a batch of several entries in which nothing is a duplicate, a conflict, or of all '
  'fleets; null, with nothing done, for any other. The head is locked by the caller.';
revoke execute on function append_together(jsonb, log_head) from public;
`;

/** What stands before the loop over the entries. */
const SHORTER_WAYS = `
  v_result := case when jsonb_array_length(p_entries) = 1 then append_alone(p_entries -> 0, v_head)
    else append_together(p_entries, v_head) end;
  if v_result is not null then
    return v_result;
  end if;
`;

const appendBatch = (first: string): string => `
create or replace function append_batch(p_entries jsonb, p_log_id uuid default null, p_known bigint default null)
returns jsonb
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  v_head      log_head%rowtype;
  v_entry     jsonb;
  v_fleets    text[];
  v_checked   text[] := '{}';
  v_stopped   text[] := '{}';
  v_known     command_keys%rowtype;
  v_event     jsonb;
  v_fields    jsonb;
  v_first     bigint;
  v_times     jsonb;
  v_status    text;
  v_result    jsonb;
  v_results   jsonb[] := '{}';
  v_appended  boolean := false;
  v_conflict  boolean := false;
begin
  select * into strict v_head from log_head for update;
  if v_head.log_id <> p_log_id then
    return jsonb_build_object('since', log_since(p_known));
  end if;
${first}
  for v_entry in select value from jsonb_array_elements(p_entries) with ordinality order by ordinality loop
    v_fleets := array(select k from jsonb_object_keys(v_entry -> 'expect') k order by k collate "C");
    v_result := '{}';

    select * into v_known from command_keys
      where caller = v_entry ->> 'caller' and key = v_entry ->> 'key';
    if found then
      v_status := case when v_known.fingerprint = decode(v_entry ->> 'fingerprint', 'hex')
        then 'duplicate' else 'key_reused' end;
      v_result := jsonb_build_object('first', v_known.first_position, 'last', v_known.last_position,
        'id', (select id from events where position = v_known.first_position));
    elsif v_fleets && v_stopped then
      v_status := 'retry';
    elsif exists (
      select from jsonb_each_text(v_entry -> 'expect') as expected(fleet, generation)
      where expected.fleet <> all (v_checked) and expected.generation::bigint <> coalesce(
        (select max(s.generation) from fleet_states s where s.fleet = expected.fleet), 0)
    ) or ((v_entry ->> 'all_fleets')::boolean
      and v_fleets <> array(select f from fleet_names() f order by f collate "C")) then
      v_status := 'conflict';
      v_conflict := true;
    elsif jsonb_array_length(v_entry -> 'events') = 0 then
      v_status := 'confirmed';
      v_checked := v_checked || v_fleets;
    else
      v_status := 'appended';
      v_checked := v_checked || v_fleets;
      v_appended := true;
      v_first := v_head.position + 1;
      v_times := '[]';
      for v_event in select value from jsonb_array_elements(v_entry -> 'events') with ordinality order by ordinality loop
        v_fields := (v_event ->> 'body')::jsonb;
        if v_fields ->> 'fleet' <> all (v_fleets) then
          raise exception 'an event of a fleet that its entry does not name';
        end if;
        v_head.position := v_head.position + 1;
        v_head.recorded_at := greatest(clock_timestamp(), v_head.recorded_at + interval '1 microsecond');
        v_times := v_times || to_jsonb(rfc3339(v_head.recorded_at));
        insert into events (position, recorded_at, leaf_hash, body, id, type, fleet, adapter_version,
          from_version, to_version, enabled, reason, reference, actor)
        values (v_head.position, v_head.recorded_at,
          sha256('\\x00'::bytea || int8send(v_head.position)
            || int8send((extract(epoch from v_head.recorded_at) * 1000000)::bigint)
            || sha256(convert_to(v_event ->> 'body', 'UTF8'))),
          v_event ->> 'body', (v_fields ->> 'id')::uuid, v_fields ->> 'type', v_fields ->> 'fleet',
          v_fields ->> 'adapter_version', v_fields ->> 'from_version', v_fields ->> 'to_version',
          (v_fields ->> 'enabled')::boolean, v_fields ->> 'reason', v_fields ->> 'reference', v_fields ->> 'actor');
        insert into fleet_states (fleet, generation, recorded_at, state)
        values (v_fields ->> 'fleet', v_head.position, v_head.recorded_at, v_event -> 'state');
      end loop;
      insert into command_keys (caller, key, fingerprint, first_position, last_position)
      values (v_entry ->> 'caller', v_entry ->> 'key', decode(v_entry ->> 'fingerprint', 'hex'),
        v_first, v_head.position);
      v_result := jsonb_build_object('first', v_first, 'last', v_head.position, 'recorded_at', v_times);
    end if;

    if v_status not in ('appended', 'confirmed') then
      v_stopped := v_stopped || v_fleets;
    end if;
    v_results := array_append(v_results, v_result || jsonb_build_object('status', v_status));
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
