import type pg from 'pg';

import type { Answered } from './agreement-call.js';
import { firstLane, lanes, Node, until } from './agreement-node.js';
import { createDatabase, type TestDatabase } from './database.js';

/** Two replicas on one database, for schedules that are the same at every run. */
export class Pair {
  private made = 0;

  private constructor(
    readonly database: TestDatabase,
    readonly one: Node,
    readonly other: Node,
  ) {}

  static async start(): Promise<Pair> {
    const database = await createDatabase();
    const [one, other] = await Promise.all([Node.start('one', database), Node.start('other', database)]);
    return new Pair(database, one, other);
  }

  get nodes(): readonly Node[] {
    return [this.one, this.other];
  }

  /** Both are well again after what the test before did to them, also where it failed. */
  async healed(): Promise<void> {
    await this.database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()
       and application_name = '' and state like 'idle in transaction%'`,
    );
    for (const node of this.nodes) {
      node.proxy.set('pass');
      await node.healed();
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    await this.database.drop();
  }

  newName(): string {
    return `f${++this.made}`;
  }

  /** A fleet that is enabled with these versions on its trail. */
  async newFleet(...versions: string[]): Promise<string> {
    const fleet = this.newName();
    await this.one.call({ method: 'PUT', path: `/fleets/${fleet}`, body: { adapter_version: versions[0] } });
    for (const adapter_version of versions.slice(1))
      await this.one.post(`/lora/deploy?fleet=${fleet}`, { adapter_version });
    return fleet;
  }

  async status(node: Node, fleet: string): Promise<Answered['body']> {
    return (await node.get(`/lora/status?fleet=${fleet}&consistency=strong`)).body;
  }

  /**
   * Forms one batch on the first replica: its lane is held busy by a command of another fleet, then the calls arrive
   * one by one. The caller lets the proxy pass.
   * @param which connections hold back what is sent
   */
  async batch(
    calls: readonly (() => Promise<Answered>)[],
    which: (applicationName: string) => boolean = firstLane,
  ): Promise<Promise<Answered>[]> {
    const fleet = await this.newFleet('v0');
    const { one } = this;
    // Connections that are open already: a call that had to open one could be overtaken by the barrier after it.
    await Promise.all(Array.from({ length: calls.length + 3 }, () => one.get('/health/live')));
    one.proxy.set('hold', which);
    void one.post(`/lora/deploy?fleet=${fleet}`, { adapter_version: 'busy' });
    await until('a command left', () => one.proxy.holdsRequest(firstLane));
    const answers: Promise<Answered>[] = [];
    for (const call of calls) {
      answers.push(call());
      await one.barrier();
    }
    return answers;
  }
}

/** Keeps a command back between the replica and the log, until the proxy passes again. */
export async function heldInLane(node: Node, call: () => Promise<Answered>): Promise<[Promise<Answered>]> {
  node.proxy.set('hold', lanes);
  const answer = call();
  await until('a command left', () => node.proxy.holdsRequest(lanes));
  return [answer];
}

/** One event of the log, as much of it as tests ask for. */
export interface Row {
  readonly position: number;
  readonly type: string;
  readonly fleet: string;
  readonly adapter_version: string | null;
  readonly from_version: string | null;
  readonly to_version: string | null;
  readonly enabled: boolean;
  readonly key: string;
}

export async function logOf(database: TestDatabase): Promise<Row[]> {
  return database.query<Row>(
    `select position::int, type, fleet, adapter_version, from_version, to_version, enabled,
       body::jsonb ->> 'idempotency_key' as key
     from events order by position`,
  );
}

/** Where the log has the command of this key; undefined when it has none. */
export async function positionOf(database: TestDatabase, key: string): Promise<number | undefined> {
  return (await logOf(database)).find((row) => row.key === key)?.position;
}

/** A statement that appends one event to a fleet, as a replica of another make would. */
export function appendByHand(fleet: string, key: string, reason = 'by hand'): string {
  return `select append_batch(jsonb_build_array(jsonb_build_object(
      'caller', 'test', 'key', '${key}', 'fingerprint', '00', 'all_fleets', false,
      'expect', jsonb_build_object('${fleet}', generation), 'events', jsonb_build_array(jsonb_build_object(
        'body', (body::jsonb || jsonb_build_object('id', gen_random_uuid(), 'reason', '${reason}',
          'idempotency_key', '${key}'))::text, 'state', state)))))
    from fleet_states s join events e on e.position = s.generation
    where s.fleet = '${fleet}' order by generation desc limit 1`;
}

/** Holds the head's lock on a connection of no replica. */
export async function lockHead(
  database: TestDatabase,
): Promise<{ client: pg.Client; release: () => Promise<void> }> {
  const client = await database.connect();
  await client.query('begin');
  await client.query('select from log_head for update');
  return {
    client,
    release: async () => {
      await client.query('rollback');
      await client.end();
    },
  };
}

/** Waits until so many sessions wait for a lock. */
export async function lockWaiters(database: TestDatabase, count: number): Promise<void> {
  await until('sessions wait for a lock', async () => {
    const [row] = await database.query<{ n: number }>(
      `select count(*)::int as n from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return row !== undefined && row.n >= count;
  });
}

/** The server's processes behind the connections of this name. */
export async function backendsOf(database: TestDatabase, applicationName: string): Promise<number[]> {
  return until('the connection is open', async () => {
    const rows = await database.query<{ pid: number }>(
      'select pid from pg_stat_activity where datname = current_database() and application_name = $1',
      [applicationName],
    );
    return rows.length > 0 && rows.map(({ pid }) => pid);
  });
}
