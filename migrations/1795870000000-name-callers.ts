import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How people call those who call. */
export class NameCallers1795870000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(CALLER_NAMES);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      do $$
      begin
        if exists (select from events) or exists (select from caller_names) then
          raise exception 'the log is not empty: it is never dropped';
        end if;
      end
      $$;
      drop function record_caller_name(double precision, text, text);
      drop table caller_names;
    `);
  }
}

const CALLER_NAMES = `
create table caller_names (
  id      bigint generated always as identity primary key,
  actor   text not null,
  name    text not null,
  seen_at timestamptz not null
);
create index caller_names_by_actor on caller_names (actor, id);

comment on table caller_names is 'How the issuer of their tokens calls the actors of the log: a row whenever it names one for the first time, or anew. Beside the actor, never instead; no part of what is hashed. Rows are never changed.';
comment on column caller_names.id is 'Order of the names.';
comment on column caller_names.actor is 'As events name it.';
comment on column caller_names.name is 'As the token said: its claim name, else preferred_username.';
comment on column caller_names.seen_at is 'When a replica first saw the token that said so, by the database''s clock.';

create trigger caller_names_are_kept before update or delete or truncate on caller_names
  for each statement execute function refuse_change();
alter table caller_names enable always trigger caller_names_are_kept;

create function record_caller_name(p_age double precision, p_actor text, p_name text) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  v_last caller_names%rowtype;
begin
  -- One replica after the other: the first that sees a name writes it, the others find it written.
  perform pg_advisory_xact_lock(hashtext('caller_names'));
  select * into v_last from caller_names where actor = p_actor order by id desc limit 1;
  if v_last.name is distinct from p_name then
    insert into caller_names (actor, name, seen_at)
    values (p_actor, p_name, greatest(v_last.seen_at, statement_timestamp() - make_interval(secs => p_age)));
  end if;
end
$$;
comment on function record_caller_name(double precision, text, text) is
  'Records how an actor is called, as a token said that a replica first saw so many seconds ago; nothing when that is the last that is known.';
revoke execute on function record_caller_name(double precision, text, text) from public;
`;
