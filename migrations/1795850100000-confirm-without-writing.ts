import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What has nothing to append is confirmed without the tables of the log, also while somebody else has locked them. */
export class ConfirmWithoutWriting1795850100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter function append_events(jsonb, log_head) rename to write_events;
      create function append_events(p_entries jsonb, p_head log_head) returns jsonb language plpgsql as $$
      begin
        if jsonb_path_exists(p_entries, '$[*].events[*]') then
          return write_events(p_entries, p_head);
        end if;
        return jsonb_build_object('position', p_head.position, 'recorded_at', p_head.recorded_at, 'results',
          (select jsonb_agg(jsonb_build_object('status', 'confirmed')) from jsonb_array_elements(p_entries)));
      end
      $$;
      comment on function append_events(jsonb, log_head) is
        'The part of append_batch that appends entries unchecked: the results, and the position and time of the head '
        'after them. Without events nothing is written. The head is locked, and moved, by the caller.';
      comment on function write_events(jsonb, log_head) is
        'The part of append_events that writes events, states and keys, all with one statement.';
      revoke execute on function append_events(jsonb, log_head) from public;
    `);
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
      drop function append_events(jsonb, log_head);
      alter function write_events(jsonb, log_head) rename to append_events;
    `);
  }
}
