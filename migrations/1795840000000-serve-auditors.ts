import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What a summary of any part of a long log is read from, counted forward in the order of the log. */
export class ServeAuditors1795840000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLES);
    await runner.query(COMMENTS);
    await runner.query(TALLY_LOG);
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
      drop function tally_log(integer);
      drop table disabled_spells, event_tallies, event_kinds, tally_head;
    `);
  }
}

const TABLES = `
create table tally_head (
  only_row boolean primary key default true check (only_row),
  position bigint not null default 0
);
insert into tally_head default values;

create table event_kinds (
  kind  integer generated always as identity primary key,
  fleet text collate "C" not null,
  type  text not null,
  actor text not null,
  unique (fleet, type, actor)
);

create table event_tallies (
  kind     integer not null,
  position bigint not null,
  events   bigint not null,
  primary key (kind, position)
);

create table disabled_spells (
  position        bigint primary key,
  fleet           text collate "C" not null,
  began_at        timestamptz not null,
  ended_at        timestamptz,
  disabled_before interval not null
);
create index disabled_spells_by_fleet on disabled_spells (fleet, position);
`;

const COMMENTS = `
comment on table tally_head is 'How far the tallies go. Tallies are counted from events: emptied, with position 0, they are counted again.';
comment on column tally_head.only_row is 'Always true: there is one row.';
comment on column tally_head.position is 'Position of the last event that has been counted.';

comment on table event_kinds is 'A tally: every fleet, type and actor that events had in common. Counted from events.';
comment on column event_kinds.kind is 'Its number.';
comment on column event_kinds.fleet is 'The fleet.';
comment on column event_kinds.type is 'The type.';
comment on column event_kinds.actor is 'The actor.';

comment on table event_tallies is 'A tally: how many events of its kind there were up to each event, so that those between two positions are a difference. Counted from events.';
comment on column event_tallies.kind is 'The kind of the event.';
comment on column event_tallies.position is 'Position of the event.';
comment on column event_tallies.events is 'Events of that kind up to it, itself included.';

comment on table disabled_spells is 'A tally: from every event that turned enabled off to the one that turned it on. Counted from events.';
comment on column disabled_spells.position is 'Position of the event that turned it off.';
comment on column disabled_spells.fleet is 'The fleet.';
comment on column disabled_spells.began_at is 'When that event was recorded.';
comment on column disabled_spells.ended_at is 'When the event that turned it on was recorded; null while none has been counted.';
comment on column disabled_spells.disabled_before is 'How long all earlier spells of the fleet lasted together.';
`;

/**
 * What of the last spell of which fleet. Fleet and position are compared as one, so that the index over both is the only
 * one that serves: by position alone a fleet that is hardly ever disabled is a long search.
 */
const lastSpell = (what: string, fleet: string): string =>
  `select ${what} from disabled_spells s
        where (s.fleet, s.position) > (${fleet}, 0) and (s.fleet, s.position) <= (${fleet}, v_to)
        order by s.fleet desc, s.position desc limit 1`;

const TALLY_LOG = `
-- A plan made while the log is short would read whole tables, and stay in use while the log grows: indexes only.
create function tally_log(p_events integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  v_from bigint;
  v_to   bigint;
  v_head bigint;
  v_flip record;
begin
  select t.position, h.position into v_from, v_head from tally_head t, log_head h;
  if v_from >= v_head then
    return 0;
  end if;
  -- One replica after the other. The head of the log is only read: commands never wait for this.
  select position into v_from from tally_head for update;
  select position into v_head from log_head;
  v_to := least(v_head, v_from + p_events);

  insert into event_kinds (fleet, type, actor)
  select distinct e.fleet, e.type, e.actor from events e
  where e.position > v_from and e.position <= v_to
    and not exists (select from event_kinds k where (k.fleet, k.type, k.actor) = (e.fleet, e.type, e.actor));

  with counted as materialized (
    select k.kind, e.position, row_number() over (partition by k.kind order by e.position) as nth
    from events e join event_kinds k using (fleet, type, actor)
    where e.position > v_from and e.position <= v_to
  ), before as materialized (
    select kind, coalesce((
      select t.events from event_tallies t where t.kind = first.kind order by t.position desc limit 1
    ), 0) as events
    from counted first where nth = 1
  )
  insert into event_tallies (kind, position, events)
  select kind, position, events + nth from counted join before using (kind) order by kind, position;

  for v_flip in
    select position, fleet, recorded_at, enabled from (
      select e.*, coalesce(lag(e.enabled) over (partition by e.fleet order by e.position), (
        ${lastSpell('s.ended_at is not null', 'e.fleet')}
      ), true) as was
      from events e where e.position > v_from and e.position <= v_to
    ) t where enabled <> was order by position
  loop
    if v_flip.enabled then
      update disabled_spells set ended_at = v_flip.recorded_at
      where position = (${lastSpell('s.position', 'v_flip.fleet')});
    else
      insert into disabled_spells (position, fleet, began_at, disabled_before)
      values (v_flip.position, v_flip.fleet, v_flip.recorded_at, coalesce((
        ${lastSpell('s.disabled_before + (s.ended_at - s.began_at)', 'v_flip.fleet')}
      ), interval '0'));
    end if;
  end loop;

  update tally_head set position = v_to;
  return v_head - v_to;
end
$$;
comment on function tally_log(integer) is
  'Counts the next events of the log, at most so many, and tells how many are left. Does not lock the head.';
revoke execute on function tally_log(integer) from public;
`;
