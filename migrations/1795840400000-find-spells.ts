import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Has the log counted as fast when some fleets are hardly ever disabled. */
export class FindSpells1795840400000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(tallyLog(byBoth));
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
    `);
    await runner.query(tallyLog(byFleet));
  }
}

/** What of the last spell of which fleet. */
type LastSpell = (what: string, fleet: string) => string;

const byFleet: LastSpell = (what, fleet) =>
  `select ${what} from disabled_spells s where s.fleet = ${fleet} order by s.position desc limit 1`;

/**
 * Fleet and position are compared as one, so that the index over both is the only one that serves: by position alone a
 * fleet that is hardly ever disabled is a long search.
 */
const byBoth: LastSpell = (what, fleet) =>
  `select ${what} from disabled_spells s
        where (s.fleet, s.position) > (${fleet}, 0) and (s.fleet, s.position) <= (${fleet}, v_to)
        order by s.fleet desc, s.position desc limit 1`;

const tallyLog = (lastSpell: LastSpell): string => `
-- A plan made while the log is short would read whole tables, and stay in use while the log grows: indexes only.
create or replace function tally_log(p_events integer) returns bigint
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
`;
