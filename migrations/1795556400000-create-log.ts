import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The log: one head row, events that are never changed, the projection of every event, the keys of commands. */
export class CreateLog1795556400000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLES);
    await runner.query(COMMENTS);
    await runner.query(APPEND_ONLY);
    await runner.query(FUNCTIONS);
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
      drop function append_batch(jsonb, uuid, bigint);
      drop function lock_head(bigint);
      drop function log_since(bigint);
      drop function log_snapshot();
      drop function latest_states(text[]);
      drop function fleet_names();
      drop function rfc3339(timestamptz);
      drop table log_adoptions, command_keys, fleet_states, events, log_head;
      drop function refuse_change();
      drop function refuse_step_back();
    `);
  }
}

const TABLES = `
create table log_head (
  only_row    boolean primary key default true check (only_row),
  log_id      uuid not null default gen_random_uuid(),
  position    bigint not null default 0 check (position >= 0),
  recorded_at timestamptz
);
insert into log_head default values;

create table events (
  position        bigint primary key check (position > 0),
  recorded_at     timestamptz not null unique,
  leaf_hash       bytea not null check (octet_length(leaf_hash) = 32),
  body            text not null,
  id              uuid not null unique,
  type            text not null,
  fleet           text collate "C" not null,
  adapter_version text,
  from_version    text,
  to_version      text,
  enabled         boolean not null,
  reason          text not null,
  reference       text,
  actor           text not null
);
create index events_by_fleet on events (fleet, position);
create index events_by_fleet_and_type on events (fleet, type, position);
create index events_by_type on events (type, position);
create index events_by_actor on events (actor, position);
create index events_by_adapter_version on events (adapter_version, position) where adapter_version is not null;
create index events_by_reference on events (reference, position) where reference is not null;
create index events_by_active_version on events (fleet, to_version, position) where enabled;

create table fleet_states (
  fleet       text collate "C" not null,
  generation  bigint not null,
  recorded_at timestamptz not null,
  state       jsonb not null,
  primary key (fleet, generation)
);
create index fleet_states_by_time on fleet_states (fleet, recorded_at);

create table command_keys (
  caller         text not null,
  key            text not null,
  fingerprint    bytea not null,
  first_position bigint not null,
  last_position  bigint not null,
  primary key (caller, key)
);

create table log_adoptions (
  log_id          uuid primary key,
  previous_log_id uuid not null,
  position        bigint not null,
  adopted_at      timestamptz not null default clock_timestamp()
);
`;

const COMMENTS = `
comment on table migrations is 'Which migrations have been applied.';
comment on column migrations.id is 'Order of application.';
comment on column migrations.timestamp is 'When the migration was written, milliseconds since 1970.';
comment on column migrations.name is 'Its class.';

comment on table log_head is 'The head of the log: one row, locked by whoever appends, which makes the order of the log gapless.';
comment on column log_head.only_row is 'Always true: there is one head.';
comment on column log_head.log_id is 'Names this log. Positions compare only within one log_id; an operator gives a restored log a new one.';
comment on column log_head.position is 'Position of the last event; 0 while the log is empty.';
comment on column log_head.recorded_at is 'Time of the last event; null while the log is empty.';

comment on table events is 'The log: every accepted command of every fleet, in commit order. Rows are never updated or deleted.';
comment on column events.position is 'Place in the log: 1, 2, 3, ... without a gap, in commit order, across all fleets.';
comment on column events.recorded_at is 'When the log took the event, by the database''s clock; rises strictly with position.';
comment on column events.leaf_hash is 'SHA-256(0x00 || position as 8 bytes || recorded_at in microseconds since 1970 as 8 bytes || SHA-256(body)), big-endian.';
comment on column events.body is 'The event as RFC 8785 JSON: what is hashed. All columns below are copies of its members, for queries.';
comment on column events.id is 'UUIDv7 given by the replica that took the command.';
comment on column events.type is 'LoraInitialized, LoraDisabled, LoraEnabled, LoraRolledBack or AdapterDeployed.';
comment on column events.fleet is 'All replicas of one learning-engine deployment; they share one kill-switch.';
comment on column events.adapter_version is 'The adapter version that the command named; null when it named none.';
comment on column events.from_version is 'The current version before the event; null is the base model.';
comment on column events.to_version is 'The current version after the event; null is the base model.';
comment on column events.enabled is 'Whether LoRA was enabled after the event.';
comment on column events.reason is 'Why, in the words of the caller or the default.';
comment on column events.reference is 'A ticket or an alert.';
comment on column events.actor is 'Who: the authenticated identity; anonymous without access control, system at boot.';

comment on table fleet_states is 'The projection: the state of a fleet as of each of its events. Can be rebuilt from events.';
comment on column fleet_states.fleet is 'The fleet.';
comment on column fleet_states.generation is 'Position of the event that made this state.';
comment on column fleet_states.recorded_at is 'When that event was recorded.';
comment on column fleet_states.state is 'enabled, trail (its last entry is the current version), previous, last operation with reason and actor, state_version.';

comment on table command_keys is 'The Idempotency-Key of every accepted command, remembered for ever.';
comment on column command_keys.caller is 'Whose key: the actor.';
comment on column command_keys.key is 'The key as sent, or the one that the service chose.';
comment on column command_keys.fingerprint is 'SHA-256 of what the command asked (type, fleet, version, reason, If-Match): the same key with another command is refused.';
comment on column command_keys.first_position is 'Position of the first event of the command.';
comment on column command_keys.last_position is 'Position of its last event; more than one for a command on all fleets.';

comment on table log_adoptions is 'When an operator gave a restored log a new log_id (npm run log:adopt).';
comment on column log_adoptions.log_id is 'The new name of the log.';
comment on column log_adoptions.previous_log_id is 'Its name before, under which another history may have gone further.';
comment on column log_adoptions.position is 'Position of the last event that both have.';
comment on column log_adoptions.adopted_at is 'When, by the database''s clock.';
`;

const APPEND_ONLY = `
create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% on % is refused: the log is append-only', lower(tg_op), tg_table_name
    using errcode = 'insufficient_privilege';
end
$$;
comment on function refuse_change() is 'Refuses every change of the log, for the owner too.';

create trigger events_are_kept before update or delete or truncate on events
  for each statement execute function refuse_change();
alter table events enable always trigger events_are_kept;
create trigger command_keys_are_kept before update or delete or truncate on command_keys
  for each statement execute function refuse_change();
alter table command_keys enable always trigger command_keys_are_kept;
create trigger log_adoptions_are_kept before update or delete or truncate on log_adoptions
  for each statement execute function refuse_change();
alter table log_adoptions enable always trigger log_adoptions_are_kept;
create trigger log_head_is_kept before delete or truncate on log_head
  for each statement execute function refuse_change();
alter table log_head enable always trigger log_head_is_kept;

create function refuse_step_back() returns trigger language plpgsql as $$
begin
  if new.position < old.position or new.recorded_at < old.recorded_at
    or (new.recorded_at is null and old.recorded_at is not null) then
    raise exception 'the head of the log never goes back' using errcode = 'insufficient_privilege';
  end if;
  return new;
end
$$;
comment on function refuse_step_back() is 'The head of the log only goes forward.';
create trigger log_head_goes_forward before update on log_head
  for each row execute function refuse_step_back();
alter table log_head enable always trigger log_head_goes_forward;
`;

const FUNCTIONS = `
create function rfc3339(p_time timestamptz) returns text language sql immutable as $$
  select to_char(p_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
comment on function rfc3339(timestamptz) is 'A time as RFC 3339 in UTC with microseconds.';

create function fleet_names() returns setof text language sql stable as $$
  with recursive names as (
    (select fleet from fleet_states order by fleet limit 1)
    union all
    select (select s.fleet from fleet_states s where s.fleet > names.fleet order by s.fleet limit 1)
    from names where names.fleet is not null
  )
  select fleet from names where fleet is not null
$$;
comment on function fleet_names() is 'All fleets by name: one index probe for each, whatever the number of events.';

create function latest_states(p_fleets text[]) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'fleet', s.fleet, 'generation', s.generation, 'recorded_at', rfc3339(s.recorded_at), 'state', s.state
  ) order by s.fleet), '[]')
  from unnest(coalesce(p_fleets, array(select fleet_names()))) as wanted(fleet)
  cross join lateral (
    select * from fleet_states where fleet_states.fleet = wanted.fleet order by generation desc limit 1
  ) s
$$;
comment on function latest_states(text[]) is 'The newest state of the fleets named; of all fleets for null. Fleets that do not exist are left out.';

create function log_snapshot() returns jsonb language sql stable as $$
  select jsonb_build_object('log_id', h.log_id, 'position', h.position,
    'leaf', (select encode(e.leaf_hash, 'hex') from events e where e.position = h.position),
    'states', latest_states(null))
  from log_head h
$$;
comment on function log_snapshot() is 'The head of the log and the newest state of every fleet, as of one moment.';

-- A plan made while the log is short would read whole tables, and stay in use while the log grows: indexes only.
create function log_since(p_position bigint) returns jsonb
language plpgsql stable set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  v_head log_head%rowtype;
  v_rows jsonb := '[]';
begin
  select * into strict v_head from log_head;
  if v_head.position > p_position then
    select coalesce(jsonb_agg(jsonb_build_object(
      'position', e.position, 'recorded_at', rfc3339(e.recorded_at), 'leaf', encode(e.leaf_hash, 'hex'),
      'type', e.type, 'fleet', e.fleet, 'from_version', e.from_version, 'to_version', e.to_version,
      'enabled', e.enabled, 'reason', e.reason, 'actor', e.actor, 'state', s.state) order by e.position), '[]')
    into v_rows
    from (select * from events where position > p_position order by position limit 1000) e
    join fleet_states s on s.fleet = e.fleet and s.generation = e.position;
  end if;
  return jsonb_build_object('log_id', v_head.log_id, 'position', v_head.position,
    'leaf', (select encode(leaf_hash, 'hex') from events where position = p_position),
    'rows', v_rows);
end
$$;
comment on function log_since(bigint) is
  'The head, the leaf at a position that the caller knows, and up to 1,000 events after it with their states.';

create function lock_head(p_known bigint) returns jsonb
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  perform from log_head for update;
  return log_since(p_known);
end
$$;
comment on function lock_head(bigint) is
  'Locks the head until the transaction ends and tells what happened after the position that the caller knows.';

create function append_batch(p_entries jsonb, p_log_id uuid default null, p_known bigint default null)
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
comment on function append_batch(jsonb, uuid, bigint) is
  'Appends commands in one round trip. An entry: caller, key, fingerprint (hex), expect (fleet: generation before the '
  'batch), all_fleets, events (body, state). Each entry comes back appended, confirmed (nothing to append), duplicate, '
  'key_reused, conflict or retry (decided on an entry before it that did not happen). An entry is all or nothing. '
  'A conflict brings what happened since p_known; under another log_id than p_log_id nothing is done but that.';

revoke execute on function append_batch(jsonb, uuid, bigint), lock_head(bigint) from public;
`;
