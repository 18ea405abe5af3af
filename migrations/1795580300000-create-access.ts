import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who could do what, since when; and to whom the registration of an engine belongs. */
export class CreateAccess1795580300000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(ACCESS_CHANGES);
    await runner.query(OWNERS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      do $$
      begin
        if exists (select from events) or exists (select from engine_registrations)
          or exists (select from access_changes) then
          raise exception 'the log is not empty: it is never dropped';
        end if;
      end
      $$;
      drop function report_engines_of(jsonb);
      alter table engine_registrations drop column owner;
      drop function record_access(double precision, text, text, jsonb);
      drop table access_changes;
    `);
    await runner.query(removalOnly(''));
  }
}

const ACCESS_CHANGES = `
create table access_changes (
  id          bigint generated always as identity primary key,
  changed_at  timestamptz not null,
  replica     text not null,
  file_sha256 text,
  access      jsonb not null,
  came        jsonb not null,
  went        jsonb not null
);
create index access_changes_by_time on access_changes (changed_at);

comment on table access_changes is 'Who could do what, since when: a row whenever the access file, or its absence, came to mean something else. Rows are never changed.';
comment on column access_changes.id is 'Order of the changes.';
comment on column access_changes.changed_at is 'When the first replica went by it, by the database''s clock.';
comment on column access_changes.replica is 'The replica that saw it first.';
comment on column access_changes.file_sha256 is 'SHA-256 of the access file; null without one.';
comment on column access_changes.access is 'All that was in force from then on: access (open or required), and tokens (name, role, fleets, expires_at, secret: the first 8 digits of the token''s SHA-256).';
comment on column access_changes.came is 'The tokens that are new, or mean something new.';
comment on column access_changes.went is 'The tokens that are gone, or meant something else before.';

create trigger access_changes_are_kept before update or delete or truncate on access_changes
  for each statement execute function refuse_change();
alter table access_changes enable always trigger access_changes_are_kept;

create function record_access(p_age double precision, p_replica text, p_file_sha256 text, p_access jsonb)
returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  v_last access_changes%rowtype;
  v_old  jsonb;
  v_new  jsonb := coalesce(p_access -> 'tokens', '[]');
begin
  -- One replica after the other: the first that sees a change writes it, the others find it written.
  perform pg_advisory_xact_lock(hashtext('access_changes'));
  select * into v_last from access_changes order by id desc limit 1;
  if v_last.access = p_access then
    return false;
  end if;
  v_old := coalesce(v_last.access -> 'tokens', '[]');
  insert into access_changes (changed_at, replica, file_sha256, access, came, went) values (
    greatest(v_last.changed_at, statement_timestamp() - make_interval(secs => p_age)), p_replica, p_file_sha256, p_access,
    (select coalesce(jsonb_agg(t order by n), '[]') from jsonb_array_elements(v_new) with ordinality as a(t, n)
      where not v_old @> jsonb_build_array(t)),
    (select coalesce(jsonb_agg(t order by n), '[]') from jsonb_array_elements(v_old) with ordinality as a(t, n)
      where not v_new @> jsonb_build_array(t)));
  return true;
end
$$;
comment on function record_access(double precision, text, text, jsonb) is
  'Records who may do what, as a replica has gone by it for so many seconds; nothing when that stands there already. '
  'Answers whether it was new.';
revoke execute on function record_access(double precision, text, text, jsonb) from public;
`;

/** @param orOwner what else than removal and removal's columns is refused */
const removalOnly = (orOwner: string): string => `
create or replace function refuse_other_change_than_removal() returns trigger language plpgsql as $$
begin
  if old.removed_at is not null${orOwner}
    or (new.id, new.engine, new.fleet, new.registered_at) is distinct from (old.id, old.engine, old.fleet, old.registered_at) then
    raise exception 'a registration only ever ends' using errcode = 'insufficient_privilege';
  end if;
  return new;
end
$$;
comment on function refuse_other_change_than_removal() is 'A registration of an engine may be ended once, and not be changed else.';
`;

const OWNERS = `
alter table engine_registrations add column owner text;
comment on column engine_registrations.owner is 'The actor that reported it first, to whom it belongs; null while only unknown callers have reported it.';
${removalOnly('\n    or (old.owner is not null and new.owner is distinct from old.owner)')}
comment on function refuse_other_change_than_removal() is 'A registration of an engine may be ended once, may find its owner once, and not be changed else.';

create function report_engines_of(p_reports jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  v_taken  jsonb;
  v_others jsonb;
begin
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
  return report_engines(v_taken) || jsonb_build_object('others', v_others);
end
$$;
comment on function report_engines_of(jsonb) is
  'As report_engines, for reports that say who sends them: owner (null: unknown), only_own (whether it may report its '
  'own engines only). An engine belongs to the first owner that reports it; others lists the engines of which a report '
  'was not taken because they belong to somebody else.';
revoke execute on function report_engines_of(jsonb) from public;
`;
