import type pg from 'pg';

/** A log under its new name. */
export interface Adoption {
  readonly previousLogId: string;
  readonly logId: string;
  /** Of the last event; what the log of the old name had after it is gone. */
  readonly position: number;
}

/**
 * Gives the log a new log_id, after a restore from a backup or a failover that lost events: positions of two
 * histories are never compared. Notes which log it continues, and tells the running replicas.
 * @param owner an open connection of the owner
 */
export async function adoptLog(owner: pg.Client): Promise<Adoption> {
  await owner.query('begin');
  try {
    const { rows } = await owner.query<{ previous_log_id: string; log_id: string; position: string }>(`
      with head as (select log_id, position from log_head for update),
      renamed as (update log_head set log_id = gen_random_uuid() returning log_id)
      insert into log_adoptions (log_id, previous_log_id, position)
      select renamed.log_id, head.log_id, head.position from head, renamed
      returning log_id, previous_log_id, position`);
    const row = rows[0];
    if (row === undefined) throw new Error('The log has no head.');
    await owner.query("notify lora_log, 'adopted'");
    await owner.query('commit');
    return { previousLogId: row.previous_log_id, logId: row.log_id, position: Number(row.position) };
  } catch (error) {
    await owner.query('rollback').catch(() => undefined);
    throw error;
  }
}
