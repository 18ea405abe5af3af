import pg from 'pg';

/** A log under its new name. */
export interface Adoption {
  readonly previousLogId: string;
  readonly logId: string;
  /** Of the last event that both have; what the log of the old name had after it is gone. */
  readonly position: number;
}

/** One wait for the head; between two of them an operator's Ctrl-C counts. */
const HEAD_WAIT_MS = 500;

/**
 * Gives the log a new log_id, after a restore from a backup or a failover that lost events: positions of two
 * histories are never compared. Notes which log it continues, and tells the running replicas. One statement, so that
 * the head is never held for longer than the server takes, whatever becomes of this process.
 * @param owner an open connection of the owner
 * @param after of the last event that the backup had, where there have been events since: kills, which are taken before
 * an adoption. Absent: the last event of the log
 * @param signal ends the wait for the head; the log is not adopted then
 */
export async function adoptLog(owner: pg.Client, after?: number, signal?: AbortSignal): Promise<Adoption> {
  await owner.query(`set lock_timeout = ${HEAD_WAIT_MS}`);
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await adoptNow(owner, after);
    } catch (error) {
      const headIsHeld = error instanceof pg.DatabaseError && error.code === '55P03';
      if (!headIsHeld) throw error;
    }
  }
}

async function adoptNow(owner: pg.Client, after: number | undefined): Promise<Adoption> {
  const { rows } = await owner.query<{ previous_log_id: string; log_id: string; position: string }>(
    `
    with head as (select log_id, coalesce($1::bigint, position) as position from log_head where position >= coalesce($1, 0) for update),
    renamed as (update log_head set log_id = gen_random_uuid() where exists (select from head) returning log_id),
    noted as (
      insert into log_adoptions (log_id, previous_log_id, position)
      select renamed.log_id, head.log_id, head.position from head, renamed
      returning log_id, previous_log_id, position
    )
    select noted.*, pg_notify('lora_log', 'adopted') from noted`,
    [after ?? null],
  );
  const row = rows[0];
  if (row === undefined) throw new Error(`The log has no event at position ${after ?? 0}.`);
  return { previousLogId: row.previous_log_id, logId: row.log_id, position: Number(row.position) };
}
