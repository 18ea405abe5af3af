import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Compares two access files in a time that grows with their length, no longer with its square: a change of one with some
 * thousands of tokens took longer than a statement may, and never came on record.
 */
export class RecordLongAccess1795880000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      recordAccess((token, tokens) => `${token} not in (select jsonb_array_elements(${tokens}))`),
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      do $$
      begin
        if exists (select from events) or exists (select from access_changes) then
          raise exception 'the log is not empty: it is never dropped';
        end if;
      end
      $$;
    `);
    await runner.query(recordAccess((token, tokens) => `not ${tokens} @> jsonb_build_array(${token})`));
  }
}

/** @param isNotAmong the condition that a token is not in a list of them */
const recordAccess = (isNotAmong: (token: string, tokens: string) => string): string => `
create or replace function record_access(p_age double precision, p_replica text, p_file_sha256 text, p_access jsonb)
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
      where ${isNotAmong('t', 'v_old')}),
    (select coalesce(jsonb_agg(t order by n), '[]') from jsonb_array_elements(v_old) with ordinality as a(t, n)
      where ${isNotAmong('t', 'v_new')}));
  return true;
end
$$;
`;
