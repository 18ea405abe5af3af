import { type TestDatabase } from './database.js';
import { type Api, eventually } from './http.js';

/** The head of the log, locked: what is sent to the log meanwhile waits, in the order in which it came. */
export interface HeadLock {
  /**
   * Waits until so many sessions of the services wait for the lock: one for each replica that has a batch under way.
   * @param lane the spare one is used by a kill that finds a batch under way for over 150 ms, and for the kills of one
   */
  waiters(count: number, lane?: 'lane' | 'spare lane'): Promise<void>;
  /** Once is enough, twice does no harm. */
  readonly release: () => Promise<void>;
}

/** Commands give up 1.5 s after they began to wait: release it before. */
export async function lockHead(database: TestDatabase): Promise<HeadLock> {
  const holder = await database.connect();
  await holder.query('begin');
  await holder.query('select from log_head for update');
  let released = false;
  return {
    waiters: async (count, lane = 'lane') => {
      await eventually(async () => {
        const waiting = await database.query(
          `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
           and application_name = 'lora-control-plane ' || $1`,
          [lane],
        );
        return waiting.length === count;
      });
    },
    release: async () => {
      if (released) return;
      released = true;
      await holder.query('rollback');
      await holder.end();
    },
  };
}

/**
 * Waits until what was sent to a replica before this has been confirmed, so that whatever commits from here on came
 * after its arrival. A read is answered by a question to the log that began after the read had arrived, which has
 * served all who came before; several in a row, because they may overtake a command on a connection of its own.
 */
export async function confirmed(api: Api): Promise<void> {
  for (let read = 0; read < 5; read += 1) {
    const { status } = await api.get('/lora/status?consistency=strong');
    if (status !== 200) throw new Error(`The log could not be read: ${status}`);
  }
}
