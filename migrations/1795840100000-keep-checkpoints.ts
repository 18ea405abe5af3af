import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Signed checkpoints of the log, kept as the log is kept. */
export class KeepCheckpoints1795840100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(CHECKPOINTS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      do $$
      begin
        if exists (select from events) or exists (select from checkpoints) then
          raise exception 'the log is not empty: it is never dropped';
        end if;
      end
      $$;
      drop function keep_checkpoint(uuid, bigint, bytea, text, text);
      drop table checkpoints;
    `);
  }
}

const CHECKPOINTS = `
create table checkpoints (
  log_id   uuid not null,
  size     bigint not null check (size > 0),
  root     bytea not null check (octet_length(root) = 32),
  note     text not null,
  key      text not null,
  taken_at timestamptz not null default clock_timestamp(),
  id       bigint generated always as identity unique,
  primary key (log_id, size)
);

comment on table checkpoints is 'Signed statements of what the log was: one at most for each size of it. Rows are never changed.';
comment on column checkpoints.log_id is 'The log.';
comment on column checkpoints.size is 'How many events it had: the position of the last one.';
comment on column checkpoints.root is 'Root of the Merkle tree (RFC 6962) over the leaf_hash of the events 1 to size.';
comment on column checkpoints.note is 'The signed note (C2SP tlog-checkpoint) that says so.';
comment on column checkpoints.key is 'The verifier key of who signed it.';
comment on column checkpoints.taken_at is 'When, by the database''s clock.';
comment on column checkpoints.id is 'Order in which they were kept.';

create trigger checkpoints_are_kept before update or delete or truncate on checkpoints
  for each statement execute function refuse_change();
alter table checkpoints enable always trigger checkpoints_are_kept;

create function keep_checkpoint(p_log_id uuid, p_size bigint, p_root bytea, p_note text, p_key text) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  insert into checkpoints (log_id, size, root, note, key)
  select log_id, p_size, p_root, p_note, p_key from log_head where log_id = p_log_id and position >= p_size
  on conflict (log_id, size) do nothing;
  return found;
end
$$;
comment on function keep_checkpoint(uuid, bigint, bytea, text, text) is
  'Keeps a checkpoint of the log as it is named now, unless there is one of that size: the first one stays. '
  'Answers whether it was kept.';
revoke execute on function keep_checkpoint(uuid, bigint, bytea, text, text) from public;
`;
