import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who was refused what. */
export class KeepRefusals1795840200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(REFUSALS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      do $$
      begin
        if exists (select from events) or exists (select from refusals) then
          raise exception 'the log is not empty: it is never dropped';
        end if;
      end
      $$;
      drop function record_refusals(text, jsonb);
      drop table refusals;
    `);
  }
}

const REFUSALS = `
create table refusals (
  id             bigint generated always as identity primary key,
  refusal        uuid not null unique,
  refused_at     timestamptz not null,
  replica        text not null,
  actor          text not null,
  auth           text not null,
  remote_address text,
  call           text not null,
  fleet          text,
  status         smallint not null,
  code           text not null,
  request_id     text,
  left_out       integer not null
);
create index refusals_by_time on refusals (refused_at, id);

comment on table refusals is 'Who was refused what, and when: calls of callers who are not known or may not do it, and commands that the state forbids. So many of each caller and minute. Rows are never changed.';
comment on column refusals.id is 'Names the row.';
comment on column refusals.refusal is 'Made by the replica, so that what is sent twice is written once.';
comment on column refusals.refused_at is 'When the replica refused it, by the database''s clock.';
comment on column refusals.replica is 'The replica that refused it.';
comment on column refusals.actor is 'Who called; anonymous: not known.';
comment on column refusals.auth is 'How the actor was authenticated; none: not at all.';
comment on column refusals.remote_address is 'From where.';
comment on column refusals.call is 'What was called: the method, and the address as the service names it.';
comment on column refusals.fleet is 'The fleet that the call meant, * for all; null where it meant none, or named none that could exist.';
comment on column refusals.status is 'The status of the answer.';
comment on column refusals.code is 'The code of the answer: why.';
comment on column refusals.request_id is 'The id of the request, as the answer and the proxy''s log have it.';
comment on column refusals.left_out is 'How many refusals of this caller were not written since its row before, because they were too many; of unknown callers together where all of them were.';

create trigger refusals_are_kept before update or delete or truncate on refusals
  for each statement execute function refuse_change();
alter table refusals enable always trigger refusals_are_kept;

create function record_refusals(p_replica text, p_refusals jsonb) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into refusals (refusal, refused_at, replica, actor, auth, remote_address, call, fleet, status, code, request_id, left_out)
  select r.refusal, statement_timestamp() - make_interval(secs => r.age), p_replica, r.actor, r.auth, r.remote_address,
    r.call, r.fleet, r.status, r.code, r.request_id, r.left_out
  from rows from (jsonb_to_recordset(p_refusals) as (refusal uuid, age double precision, actor text, auth text,
    remote_address text, call text, fleet text, status smallint, code text, request_id text, left_out integer))
    with ordinality as r(refusal, age, actor, auth, remote_address, call, fleet, status, code, request_id, left_out, n)
  order by r.n
  on conflict (refusal) do nothing
$$;
comment on function record_refusals(text, jsonb) is
  'Records what a replica has refused, each with its age in seconds. What stands there already is not written again.';
revoke execute on function record_refusals(text, jsonb) from public;
`;
