import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Which engines there are, what each reports, and the acknowledgements of kills. */
export class CreateEngines1795571100000 implements MigrationInterface {
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
        if exists (select from events) or exists (select from engine_registrations) then
          raise exception 'the log is not empty: it is never dropped';
        end if;
      end
      $$;
      drop function report_engines(jsonb);
      drop function remove_engine(text, text);
      drop function engine_presence_since();
      drop table kill_acknowledgements, kill_rolls, engine_presence_epoch, engine_presence, engine_registrations;
      drop function refuse_other_change_than_removal();
    `);
  }
}

const TABLES = `
create table engine_registrations (
  id            bigint generated always as identity primary key,
  engine        text collate "C" not null,
  fleet         text collate "C" not null,
  registered_at timestamptz not null default clock_timestamp(),
  removed_at    timestamptz,
  removed_by    text,
  check ((removed_at is null) = (removed_by is null))
);
create unique index engine_registrations_standing on engine_registrations (engine) where removed_at is null;
create index engine_registrations_by_fleet on engine_registrations (fleet, engine);

create unlogged table engine_presence (
  engine              text collate "C" primary key,
  heard_at            timestamptz not null,
  log_id              uuid,
  observed_generation bigint,
  state               text not null,
  matches             boolean not null,
  matches_since       timestamptz,
  report              jsonb not null
);

create unlogged table engine_presence_epoch (
  only_row boolean primary key default true check (only_row),
  began_at timestamptz not null default clock_timestamp()
);

create table kill_rolls (
  log_id     uuid not null,
  generation bigint not null,
  fleet      text collate "C" not null,
  killed_at  timestamptz not null,
  engines    text[] not null,
  primary key (log_id, generation)
);
create index kill_rolls_by_generation on kill_rolls (generation);

create table kill_acknowledgements (
  log_id            uuid not null,
  generation        bigint not null,
  engine            text collate "C" not null,
  fleet             text collate "C" not null,
  observed_adapters jsonb not null,
  acknowledged_at   timestamptz not null default clock_timestamp(),
  primary key (log_id, generation, engine)
);
create index kill_acknowledgements_by_generation on kill_acknowledgements (generation);
`;

const COMMENTS = `
comment on table engine_registrations is 'Which engines there are and were: a row from the first report of an engine to its removal. Rows are never deleted.';
comment on column engine_registrations.id is 'Order of registration.';
comment on column engine_registrations.engine is 'The engine''s id, chosen by its agent; one standing registration at a time.';
comment on column engine_registrations.fleet is 'The fleet whose state it obeys.';
comment on column engine_registrations.registered_at is 'When its first report arrived, by the database''s clock.';
comment on column engine_registrations.removed_at is 'When it was removed: by its agent at an orderly stop, or by an operator; null while it stands.';
comment on column engine_registrations.removed_by is 'Who removed it.';

comment on table engine_presence is 'The last report of every engine. Unlogged: lost in a crash of the database, and back with the next reports.';
comment on column engine_presence.engine is 'The engine.';
comment on column engine_presence.heard_at is 'When the report was stored, by the database''s clock.';
comment on column engine_presence.log_id is 'Of the log whose state the agent follows; null before it knows one.';
comment on column engine_presence.observed_generation is 'Generation of the state under which the agent looked at its engine.';
comment on column engine_presence.state is 'What the agent says: converged, pending, unreachable, conflict, unsupported or advisory.';
comment on column engine_presence.matches is 'Whether the service itself finds the observed adapters equal to the state of that generation.';
comment on column engine_presence.matches_since is 'Since when reports of this generation have matched without a break.';
comment on column engine_presence.report is 'The report as it was sent.';

comment on table engine_presence_epoch is 'When the presence table began to fill, first or again after a crash.';
comment on column engine_presence_epoch.only_row is 'Always true: there is one row at most.';
comment on column engine_presence_epoch.began_at is 'By the database''s clock.';

comment on table kill_rolls is 'Which engines a kill had to reach: those registered at its commit. Written with its first acknowledgement, never changed.';
comment on column kill_rolls.log_id is 'The log of the kill.';
comment on column kill_rolls.generation is 'Position of the kill''s event.';
comment on column kill_rolls.fleet is 'The fleet that was killed.';
comment on column kill_rolls.killed_at is 'When the kill was recorded.';
comment on column kill_rolls.engines is 'Ids of the engines counted, in order.';

comment on table kill_acknowledgements is 'Evidence that a kill arrived: an engine was seen without adapters under the kill''s generation. Rows are never changed.';
comment on column kill_acknowledgements.log_id is 'The log of the kill.';
comment on column kill_acknowledgements.generation is 'Position of the kill''s event.';
comment on column kill_acknowledgements.engine is 'The engine.';
comment on column kill_acknowledgements.fleet is 'Its fleet.';
comment on column kill_acknowledgements.observed_adapters is 'The adapters that its agent saw on it: none.';
comment on column kill_acknowledgements.acknowledged_at is 'When the report was stored, by the database''s clock.';
`;

const APPEND_ONLY = `
create trigger kill_acknowledgements_are_kept before update or delete or truncate on kill_acknowledgements
  for each statement execute function refuse_change();
alter table kill_acknowledgements enable always trigger kill_acknowledgements_are_kept;
create trigger kill_rolls_are_kept before update or delete or truncate on kill_rolls
  for each statement execute function refuse_change();
alter table kill_rolls enable always trigger kill_rolls_are_kept;
create trigger engine_registrations_are_kept before delete or truncate on engine_registrations
  for each statement execute function refuse_change();
alter table engine_registrations enable always trigger engine_registrations_are_kept;

create function refuse_other_change_than_removal() returns trigger language plpgsql as $$
begin
  if old.removed_at is not null
    or (new.id, new.engine, new.fleet, new.registered_at) is distinct from (old.id, old.engine, old.fleet, old.registered_at) then
    raise exception 'a registration only ever ends' using errcode = 'insufficient_privilege';
  end if;
  return new;
end
$$;
comment on function refuse_other_change_than_removal() is 'A registration of an engine may be ended once, and not be changed else.';
create trigger engine_registrations_only_end before update on engine_registrations
  for each row execute function refuse_other_change_than_removal();
alter table engine_registrations enable always trigger engine_registrations_only_end;
`;

const FUNCTIONS = `
create function engine_presence_since() returns timestamptz
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  insert into engine_presence_epoch default values on conflict do nothing;
  return (select began_at from engine_presence_epoch);
end
$$;
comment on function engine_presence_since() is 'Since when presence is known: after a crash of the database it begins anew.';

create function report_engines(p_reports jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  v_log_id    uuid;
  v_new       jsonb;
  v_kill      record;
  v_completed jsonb := '[]';
begin
  select log_id into strict v_log_id from log_head;
  perform engine_presence_since();

  -- Everywhere in one order, so that two replicas do not wait for each other.
  insert into engine_registrations (engine, fleet)
  select r.engine, r.fleet from jsonb_to_recordset(p_reports) as r(engine text, fleet text)
  where exists (select from fleet_states s where s.fleet = r.fleet)
    and not exists (select from engine_registrations e where e.engine = r.engine and e.removed_at is null)
  order by r.engine
  on conflict (engine) where removed_at is null do nothing;

  insert into engine_presence as known
    (engine, heard_at, log_id, observed_generation, state, matches, matches_since, report)
  select r.engine, clock_timestamp(), (r.report ->> 'log_id')::uuid, (r.report ->> 'observed_generation')::bigint,
    r.report ->> 'state', m.matches, case when m.matches then clock_timestamp() end, r.report
  from jsonb_to_recordset(p_reports) as r(engine text, fleet text, report jsonb)
  join engine_registrations e on e.engine = r.engine and e.fleet = r.fleet and e.removed_at is null
  cross join lateral (select coalesce(
    (r.report ->> 'log_id')::uuid = v_log_id and r.report ->> 'state' = 'converged'
      and r.report -> 'observed_adapters' = (
        select case when (s.state ->> 'enabled')::boolean and jsonb_array_length(s.state -> 'trail') > 0
          then jsonb_build_array(s.state -> 'trail' -> -1) else '[]' end
        from fleet_states s
        where s.fleet = r.fleet and s.generation = (r.report ->> 'observed_generation')::bigint),
    false)) as m(matches)
  order by r.engine
  on conflict (engine) do update set
    heard_at = excluded.heard_at, log_id = excluded.log_id, observed_generation = excluded.observed_generation,
    state = excluded.state, matches = excluded.matches, report = excluded.report,
    matches_since = case
      when excluded.matches and known.matches and known.log_id = excluded.log_id
        and known.observed_generation = excluded.observed_generation then known.matches_since
      else excluded.matches_since end;

  select coalesce(jsonb_agg(jsonb_build_object('engine', p.engine, 'fleet', r.fleet,
    'generation', p.observed_generation, 'observed', p.report -> 'observed_adapters') order by p.engine), '[]')
  into v_new
  from jsonb_to_recordset(p_reports) as r(engine text, fleet text)
  join engine_presence p on p.engine = r.engine and p.matches
  join engine_registrations g on g.engine = r.engine and g.fleet = r.fleet and g.removed_at is null
  join events e on e.position = p.observed_generation and e.type = 'LoraDisabled' and e.fleet = r.fleet
  where not exists (select from kill_acknowledgements a
    where a.log_id = v_log_id and a.generation = p.observed_generation and a.engine = p.engine);

  if v_new <> '[]' then
    -- One replica after the other: exactly one of them stores the last acknowledgement of a kill, and says so.
    perform pg_advisory_xact_lock(hashtext('kill_acknowledgements'));
    insert into kill_rolls (log_id, generation, fleet, killed_at, engines)
    select distinct v_log_id, n.generation, n.fleet, e.recorded_at,
      array(select g.engine from engine_registrations g where g.fleet = n.fleet
        and g.registered_at <= e.recorded_at and (g.removed_at is null or g.removed_at > e.recorded_at)
        order by g.engine)
    from jsonb_to_recordset(v_new) as n(fleet text, generation bigint)
    join events e on e.position = n.generation
    on conflict do nothing;
    with stored as (
      insert into kill_acknowledgements (log_id, generation, engine, fleet, observed_adapters)
      select v_log_id, n.generation, n.engine, n.fleet, n.observed
      from jsonb_to_recordset(v_new) as n(engine text, fleet text, generation bigint, observed jsonb)
      on conflict do nothing returning generation, engine
    )
    select coalesce(jsonb_agg(to_jsonb(stored)), '[]') into v_new from stored;
    for v_kill in
      select k.fleet, k.generation, k.killed_at, max(a.acknowledged_at) as last_at
      from kill_rolls k
      join kill_acknowledgements a on a.log_id = k.log_id and a.generation = k.generation and a.engine = any (k.engines)
      where k.log_id = v_log_id
        and k.generation in (select n.generation from jsonb_to_recordset(v_new) as n(generation bigint))
        and exists (select from jsonb_to_recordset(v_new) as n(engine text, generation bigint)
          where n.generation = k.generation and n.engine = any (k.engines))
        and k.generation = (select max(s.generation) from fleet_states s where s.fleet = k.fleet)
        and not exists (select from log_adoptions o where o.log_id = v_log_id and o.adopted_at > k.killed_at)
      group by k.fleet, k.generation, k.killed_at, k.engines
      having count(*) = cardinality(k.engines)
    loop
      v_completed := v_completed || jsonb_build_object('fleet', v_kill.fleet, 'generation', v_kill.generation,
        'seconds', extract(epoch from v_kill.last_at - v_kill.killed_at));
    end loop;
  end if;

  return jsonb_build_object('completed', v_completed, 'fleets', (
    select coalesce(jsonb_object_agg(r.engine, coalesce(e.fleet, '')), '{}')
    from jsonb_to_recordset(p_reports) as r(engine text)
    left join engine_registrations e on e.engine = r.engine and e.removed_at is null));
end
$$;
comment on function report_engines(jsonb) is
  'Takes reports of engines: engine, fleet, report. Registers engines on first sight, keeps their presence, and stores '
  'an acknowledgement when one is seen without adapters under a kill. Answers with the fleet in which each engine '
  'stands registered (empty: in none, because there is no such fleet; a report under another fleet is not taken), and '
  'with the kills that the last engine on their roll has just acknowledged.';

create function remove_engine(p_engine text, p_actor text) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  v_fleet text;
begin
  update engine_registrations set removed_at = clock_timestamp(), removed_by = p_actor
  where engine = p_engine and removed_at is null returning fleet into v_fleet;
  delete from engine_presence where engine = p_engine;
  return v_fleet;
end
$$;
comment on function remove_engine(text, text) is 'Ends the registration of an engine; its fleet, or null when it had none.';

revoke execute on function report_engines(jsonb), remove_engine(text, text), engine_presence_since() from public;
`;
