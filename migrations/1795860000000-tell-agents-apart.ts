import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Tells two agents under one id from one that was restarted, and fixes the engines that a kill had to reach: none
 * registers or goes while a roll is written. The functions of the same names with fewer parameters stay for replicas of
 * the version before, as long as they run beside new ones.
 */
export class TellAgentsApart1795860000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(INSTANCES);
    await runner.query(REGISTER_ALONE);
    await runner.query(REPORT);
    await runner.query(REMOVE);
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
      drop function report_engines_of(jsonb, integer), remove_engine(text, text, uuid, integer);
      drop trigger engine_registrations_one_by_one on engine_registrations;
      drop function register_alone(), engine_rivals(text, integer), settle_engines();
      drop table engine_instances;
      comment on column engine_presence.report is 'The report as it was sent.';
    `);
  }
}

const INSTANCES = `
create unlogged table engine_instances (
  engine         text collate "C" not null,
  instance       uuid not null,
  first_heard_at timestamptz not null default clock_timestamp(),
  heard_at       timestamptz not null default clock_timestamp(),
  primary key (engine, instance)
);
comment on table engine_instances is 'The agents that report of each engine: more than one that live at once are a conflict. Unlogged, and kept no longer than they are heard of.';
comment on column engine_instances.engine is 'The engine.';
comment on column engine_instances.instance is 'Chosen at random by an agent at each of its starts.';
comment on column engine_instances.first_heard_at is 'When its first report was stored, by the database''s clock.';
comment on column engine_instances.heard_at is 'When its last report was stored.';
comment on column engine_presence.report is 'The report as it was sent; of an engine in conflict, state and last_error are the service''s.';

create function engine_rivals(p_engine text, p_ttl_seconds integer) returns uuid[] language sql as $$
  select array_agg(distinct one.instance order by one.instance)
  from engine_instances one
  join engine_instances other on other.engine = one.engine and other.instance <> one.instance
    and other.first_heard_at <= one.heard_at and one.first_heard_at <= other.heard_at
  where one.engine = p_engine
    and least(one.heard_at, other.heard_at) >= clock_timestamp() - make_interval(secs => p_ttl_seconds)
$$;
comment on function engine_rivals(text, integer) is
  'The agents that live under one id at once: each was heard of within the time to live, and again after another '
  'had begun. Null when there are none; one that was restarted is silent from then on.';
`;

const REGISTER_ALONE = `
create function settle_engines() returns void language sql as $$
  select pg_advisory_xact_lock(hashtext('kill_acknowledgements'))
$$;
comment on function settle_engines() is
  'Until the end of the transaction no other one registers or removes an engine, or acknowledges a kill.';

create function register_alone() returns trigger language plpgsql as $$
begin
  perform settle_engines();
  new.registered_at := clock_timestamp();
  return new;
end
$$;
comment on function register_alone() is
  'A roll holds every engine registered before its kill: none registers between the time of its row and its commit '
  'while a roll is written.';
create trigger engine_registrations_one_by_one before insert on engine_registrations
  for each row execute function register_alone();
alter table engine_registrations enable always trigger engine_registrations_one_by_one;
revoke execute on function settle_engines(), register_alone(), engine_rivals(text, integer) from public;
`;

const REPORT = `
create function report_engines_of(p_reports jsonb, p_ttl_seconds integer) returns jsonb
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  v_taken     jsonb;
  v_others    jsonb;
  v_contended jsonb;
begin
  -- Before any row is locked: whoever writes of engines takes this lock first.
  if exists (
    select from jsonb_to_recordset(p_reports) as r(engine text, fleet text, report jsonb)
    join events e on e.position = (r.report ->> 'observed_generation')::bigint
      and e.type = 'LoraDisabled' and e.fleet = r.fleet
    where r.report ->> 'state' = 'converged' and not exists (select from kill_acknowledgements a
      where a.log_id = (r.report ->> 'log_id')::uuid and a.generation = e.position and a.engine = r.engine)
  ) then
    perform settle_engines();
  end if;

  -- Everywhere in one order, so that two replicas do not wait for each other.
  insert into engine_registrations (engine, fleet, owner)
  select r.engine, r.fleet, r.owner from jsonb_to_recordset(p_reports) as r(engine text, fleet text, owner text)
  where exists (select from fleet_states s where s.fleet = r.fleet)
    and not exists (select from engine_registrations e where e.engine = r.engine and e.removed_at is null)
  order by r.engine
  on conflict (engine) where removed_at is null do nothing;

  perform from engine_registrations e
  join jsonb_to_recordset(p_reports) as r(engine text, fleet text, owner text)
    on e.engine = r.engine and e.fleet = r.fleet and r.owner is not null
  where e.removed_at is null and e.owner is null order by e.engine for update of e;
  if found then
    update engine_registrations e set owner = r.owner
    from jsonb_to_recordset(p_reports) as r(engine text, fleet text, owner text)
    where e.engine = r.engine and e.fleet = r.fleet and r.owner is not null
      and e.removed_at is null and e.owner is null;
  end if;

  select coalesce(jsonb_agg(t.report) filter (where t.may), '[]'),
    coalesce(jsonb_agg(t.report -> 'engine') filter (where not t.may), '[]')
  into v_taken, v_others
  from (
    select a.report, e.id is null or e.owner is not distinct from a.report ->> 'owner'
      or not (a.report ->> 'only_own')::boolean as may
    from jsonb_array_elements(p_reports) as a(report)
    left join engine_registrations e on e.engine = a.report ->> 'engine' and e.removed_at is null
  ) t;

  insert into engine_instances (engine, instance)
  select r.engine, (r.report ->> 'instance_id')::uuid
  from jsonb_to_recordset(v_taken) as r(engine text, fleet text, report jsonb)
  join engine_registrations e on e.engine = r.engine and e.fleet = r.fleet and e.removed_at is null
  where r.report ->> 'instance_id' is not null
  order by r.engine
  on conflict (engine, instance) do update set heard_at = excluded.heard_at;
  delete from engine_instances where (engine, instance) in (
    select i.engine, i.instance from engine_instances i
    join jsonb_to_recordset(v_taken) as r(engine text) on r.engine = i.engine
    where i.heard_at < clock_timestamp() - make_interval(secs => p_ttl_seconds)
    for update of i skip locked);

  -- What one of them has seen says nothing of the engine of the other.
  select coalesce(jsonb_object_agg(c.engine, format(
    '%s agents report under this id (instances %s): give each engine an id of its own',
    cardinality(c.rivals), array_to_string(c.rivals, ', '))), '{}')
  into v_contended
  from (
    select r.engine, engine_rivals(r.engine, p_ttl_seconds) as rivals
    from jsonb_to_recordset(v_taken) as r(engine text)
  ) c where c.rivals is not null;
  if v_contended <> '{}' then
    select jsonb_agg(case when v_contended ? (t.report ->> 'engine') then jsonb_set(t.report, '{report}',
      t.report -> 'report' || jsonb_build_object('state', 'conflict', 'last_error', v_contended -> (t.report ->> 'engine')))
      else t.report end)
    into v_taken from jsonb_array_elements(v_taken) as t(report);
  end if;

  return report_engines(v_taken) || jsonb_build_object('others', v_others, 'contended', v_contended);
end
$$;
comment on function report_engines_of(jsonb, integer) is
  'As report_engines, for reports that say who sends them: owner (null: unknown), only_own (whether it may report its '
  'own engines only). An engine belongs to the first owner that reports it; others lists the engines of which a report '
  'was not taken because they belong to somebody else. An engine under whose id several agents report is in conflict '
  'whatever they say; contended has the words for each.';
revoke execute on function report_engines_of(jsonb, integer) from public;
`;

const REMOVE = `
create function remove_engine(p_engine text, p_actor text, p_instance uuid, p_ttl_seconds integer) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  v_fleet text;
begin
  perform settle_engines();
  select fleet into v_fleet from engine_registrations where engine = p_engine and removed_at is null for update;
  if not found then
    return null;
  end if;
  update engine_instances set heard_at = clock_timestamp() where engine = p_engine and instance = p_instance;
  if p_instance is not null and engine_rivals(p_engine, p_ttl_seconds) is not null then
    -- The next kill must not miss the engine of the agent that goes on under this id.
    delete from engine_instances where engine = p_engine and instance = p_instance;
    return v_fleet;
  end if;
  update engine_registrations set removed_at = clock_timestamp(), removed_by = p_actor
  where engine = p_engine and removed_at is null;
  delete from engine_instances where engine = p_engine;
  delete from engine_presence where engine = p_engine;
  return v_fleet;
end
$$;
comment on function remove_engine(text, text, uuid, integer) is
  'Ends the registration of an engine; its fleet, or null when it had none. For one of several agents that report under '
  'its id (p_instance) it ends only that agent.';
revoke execute on function remove_engine(text, text, uuid, integer) from public;
`;
