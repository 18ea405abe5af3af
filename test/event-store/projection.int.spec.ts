import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { prepareDatabase } from '../../src/database/prepare-database.js';
import {
  type Comparison,
  ProjectionError,
  type ProjectionOptions,
  verifyProjection,
} from '../../src/event-store/projection.js';
import { rebuildProjection } from '../../src/event-store/projection-rebuild.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/http.js';
import { appendBatch, bodyOf, entry, eventFor, on, statusesOf, through } from './batches.js';
import { describeTable } from './catalog.js';
import { SimpleLog } from './simple-log.js';

let database: TestDatabase;
let owner: pg.Client;
let log: SimpleLog;
let said: string[];

beforeEach(async () => {
  database = await createDatabase();
  owner = await database.connect();
  log = new SimpleLog(on(database));
  said = [];
});
afterEach(async () => {
  await owner.end();
  await database.drop();
});

const options = (more: Partial<ProjectionOptions> = {}): ProjectionOptions => ({
  say: (line) => said.push(line),
  pageSize: 10,
  ...more,
});
const verify = (more?: Partial<ProjectionOptions>): Promise<Comparison> =>
  verifyProjection(owner, options(more));
const rebuild = (more?: Partial<ProjectionOptions>): Promise<Comparison> =>
  rebuildProjection(owner, options(more));

const rows = (): Promise<object[]> =>
  database.query(
    'select fleet, generation, recorded_at::text, state from fleet_states order by fleet, generation',
  );
const tables = async (): Promise<unknown[]> =>
  (
    await database.query<{ relname: string }>(
      "select relname from pg_class where relname like 'fleet_states%'",
    )
  )
    .map(({ relname }) => relname)
    .sort();
const TABLES = ['fleet_states', 'fleet_states_by_time', 'fleet_states_pkey'];

/** Each kind of difference there is; the log has at least 40 events of the fleets a, b and c in turn. */
async function damage(): Promise<void> {
  await database.query("delete from fleet_states where fleet = 'b' and generation = 11");
  await database.query(
    "update fleet_states set recorded_at = recorded_at + interval '1 microsecond' where generation = 12",
  );
  await database.query(
    `update fleet_states set state = state || '{"trail": ["v0"], "surplus": 1}' where generation = 13`,
  );
  await database.query("update fleet_states set state = state - 'last_reason' where generation = 14");
  await database.query(
    "insert into fleet_states select 'ghost', 3, recorded_at, state from fleet_states where generation = 3",
  );
  await database.query(
    'insert into fleet_states select fleet, 900, recorded_at, state from fleet_states where generation = 4',
  );
}

describe('verify', () => {
  it('finds every row of the service equal, whatever the pages', async () => {
    await log.write(60);
    for (const pageSize of [1, 7, 60, 1000]) {
      expect(await verify({ pageSize })).toEqual({ events: 60, fleets: 3, differences: 0, examples: [] });
    }
    expect(said).toEqual([]);
  });

  it('finds an empty log equal', async () => {
    expect(await verify()).toEqual({ events: 0, fleets: 0, differences: 0, examples: [] });
  });

  it('tells missing, changed and superfluous rows, each with what the log says', async () => {
    await log.write(40);
    const [times] = await database.query<{ found: string; wanted: string }>(
      `select rfc3339(recorded_at + interval '1 microsecond') as found, rfc3339(recorded_at) as wanted
       from events where position = 12`,
    );
    await damage();
    const { differences, examples } = await verify();
    expect(examples).toEqual([
      'Fleet b, generation 11: the row is missing.',
      `Fleet c, generation 12: recorded_at is ${times?.found}, the log says ${times?.wanted}.`,
      expect.stringMatching(
        /^Fleet a, generation 13: trail is \["v0"\], the log says \[.*"v12"\]; surplus is 1, the log says absent\.$/,
      ),
      'Fleet b, generation 14: last_reason is absent, the log says "step 13".',
      'Fleet a, generation 900: the log has no such event.',
      'Fleet ghost, generation 3: the log has no such event.',
    ]);
    expect(differences).toBe(6);
  });

  it('compares values, not the order of members or the way numbers are written', async () => {
    await log.write(1);
    await database.query(
      `update fleet_states set state = (state - 'state_version') || '{"state_version": 1.0}'`,
    );
    expect(await verify()).toMatchObject({ differences: 0 });
  });

  it('counts all differences and tells the first ten', async () => {
    await log.write(40);
    await database.query('update fleet_states set state = state || \'{"last_actor": "nobody"}\'');
    const { differences, examples } = await verify();
    expect(differences).toBe(40);
    expect(examples.map((line) => line.slice(0, line.indexOf(':')))).toEqual(
      ['a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c', 'a'].map(
        (fleet, i) => `Fleet ${fleet}, generation ${i + 1}`,
      ),
    );
  });

  it('tells how far it is', async () => {
    await log.write(50);
    await verify({ progressEvery: 20 });
    expect(said).toEqual([
      '20 events folded',
      '40 events folded',
      '20 rows looked up in the log',
      '40 rows looked up in the log',
    ]);
  });

  it('changes nothing, and neither waits for the head nor holds it', async () => {
    await log.write(40);
    const before = await rows();
    const writer = await database.connect();
    await writer.query('begin');
    await writer.query('select lock_head(0)');
    await owner.query('set default_transaction_read_only = on');
    expect(await verify()).toMatchObject({ differences: 0 });
    await writer.end();
    expect(await rows()).toEqual(before);
  });

  it('may be run by the role of the service', async () => {
    await log.write(10);
    const quiet = { log: () => undefined, warn: () => undefined };
    const service = new pg.Client({
      connectionString: await prepareDatabase(database.url, undefined, quiet),
    });
    await service.connect();
    expect(await verifyProjection(service, options())).toMatchObject({ events: 10, differences: 0 });
    await expect(rebuildProjection(service, options())).rejects.toThrow('permission denied');
    await service.end();
  });
});

describe('rebuild', () => {
  it('makes every row anew, and tells how many had been different', async () => {
    await log.write(40);
    const before = await rows();
    await damage();
    expect(await rebuild()).toMatchObject({ events: 40, fleets: 3, differences: 4 });
    expect(await rows()).toEqual(before);
    expect(await verify()).toMatchObject({ differences: 0 });
  });

  it('fills a projection that has lost everything, and works on an empty log', async () => {
    expect(await rebuild()).toMatchObject({ events: 0 });
    await log.write(40);
    const before = await rows();
    await database.query('truncate fleet_states');
    expect(await rebuild()).toMatchObject({ events: 40, differences: 40 });
    expect(await rows()).toEqual(before);
  });

  it('leaves everything else of the table as it was: names, comments, rights, owner', async () => {
    await log.write(20);
    const reader = `${database.name}_service`;
    await database.query(`create role ${reader}`);
    await database.query(`grant select on fleet_states to ${reader}`);
    await database.query('grant select, references on fleet_states to public');
    await database.query(`grant update on fleet_states to ${reader} with grant option`);
    await database.query("comment on index fleet_states_by_time is 'For the state at a time.'");
    const before = await describeTable(database, 'fleet_states');
    for (let i = 0; i < 2; i += 1) {
      await rebuild();
      expect(await describeTable(database, 'fleet_states')).toEqual(before);
      expect(await tables()).toEqual(TABLES);
    }
  });

  it('leaves the table with its owner when somebody else rebuilds it', async () => {
    const other = `${database.name}_service`;
    await database.query(`create role ${other}`);
    await database.query(`grant create on schema public to ${other}`);
    await database.query(`alter table fleet_states owner to ${other}`);
    await log.write(5);
    const before = await describeTable(database, 'fleet_states');
    await rebuild();
    expect(await describeTable(database, 'fleet_states')).toEqual(before);
  });

  it('takes in what is committed until the swap, and waits for it', async () => {
    await log.write(40);
    const writer = await database.connect();
    await writer.query('begin');
    const last = await appendBatch(through(writer), [entry({ late: 0 })]);
    const rebuilding = rebuild();
    await eventually(() => said.includes('The head of the log was not free. Trying again.'));
    await writer.query('commit');
    await writer.end();
    expect(await rebuilding).toMatchObject({ events: last.position, fleets: 4, differences: 0 });
    expect(await verify()).toMatchObject({ events: 41, differences: 0 });
  });

  it('takes in what was committed while it waited for the head', async () => {
    await log.write(40);
    const writer = await database.connect();
    await writer.query('begin');
    await appendBatch(through(writer), [entry({ late: 0 }), entry({ late: 0, later: 0 })]);
    const rebuilding = rebuild();
    await eventually(
      async () =>
        (
          await database.query(
            `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
               and query like '%log_head for update%'`,
          )
        ).length === 1,
    );
    await writer.query('commit');
    await writer.end();
    expect(await rebuilding).toMatchObject({ events: 43, fleets: 5, differences: 0 });
    expect(await verify()).toMatchObject({ events: 43, differences: 0 });
  });

  it('gives way while somebody reads for long, so that writers and readers go on', async () => {
    await log.write(40);
    await damage();
    const reader = await database.connect();
    await reader.query('begin');
    await reader.query('select from fleet_states limit 1');
    const rebuilding = rebuild();
    for (let round = 1; round <= 2; round += 1) {
      await eventually(() => said.filter((line) => line.includes('is being read for long')).length >= round);
      const started = performance.now();
      expect(await statusesOf(on(database), [entry({ [`new-${round}`]: 0 })])).toEqual(['appended']);
      expect(await database.query('select fleet_names()')).toHaveLength(4 + round);
      expect(performance.now() - started).toBeLessThan(1000);
    }
    await reader.query('commit');
    await reader.end();
    await rebuilding;
    expect(await verify()).toMatchObject({ events: 42, differences: 0 });
  });

  it('takes the place of a table that connections have used before, in functions and prepared statements', async () => {
    await log.write(10);
    const writer = await database.connect();
    const newest = {
      name: 'newest',
      text: "select latest_states('{a}') as answer, (select count(*)::int from fleet_states)",
    };
    await writer.query(newest);
    expect(await statusesOf(through(writer), [entry({ d: 0 })])).toEqual(['appended']);
    await rebuild();
    expect((await writer.query(newest)).rows).toMatchObject([{ count: 11 }]);
    expect(await statusesOf(through(writer), [entry({ d: 11 }), entry({ e: 0 })])).toEqual([
      'appended',
      'appended',
    ]);
    await writer.end();
    expect(await verify()).toMatchObject({ events: 13, differences: 0 });
  });

  it('clears away what one before it left when it was killed', async () => {
    await log.write(10);
    await database.query('create table fleet_states_rebuilt (v int)');
    await rebuild();
    expect(await tables()).toEqual(TABLES);
  });

  it('is done by one at a time', async () => {
    await log.write(10);
    const other = await database.connect();
    const reader = await database.connect();
    await reader.query('begin');
    await reader.query('select from fleet_states limit 1');
    const first = rebuildProjection(other, options());
    await eventually(() => said.length > 0);
    await expect(rebuild()).rejects.toThrow('Another rebuild is running.');
    await reader.end();
    await first;
    await other.end();
    expect(await tables()).toEqual(TABLES);
    await rebuild();
  });
});

describe('neither works', () => {
  const both = [
    ['verify', verify],
    ['rebuild', rebuild],
  ] as const;

  /** Refused with this sentence, and nothing has changed. */
  async function expectRefused(task: typeof verify, message: string | RegExp): Promise<void> {
    const before = await rows();
    const refused = expect(task()).rejects;
    await refused.toThrow(message);
    await expect(task()).rejects.toBeInstanceOf(ProjectionError);
    expect(await rows()).toEqual(before);
    expect(await tables()).toEqual(TABLES);
  }

  it.each(both)('on states of a newer version: %s', async (_, task) => {
    await log.write(20);
    await database.query(
      `update fleet_states set state = state || '{"state_version": 2}' where generation = 17`,
    );
    await expectRefused(
      task,
      'The state of fleet b at position 17 is of version 2, this service knows version 1: ' +
        'use the newer service that wrote it.',
    );
  });

  it.each(both)('on events of a newer version: %s', async (_, task) => {
    await log.write(4);
    const event = eventFor(bodyOf({ fleet: 'a', schema_version: 2 }));
    await appendBatch(on(database), [entry({ a: 4 }, { events: [event] })]);
    await expectRefused(
      task,
      'The event of fleet a at position 5 is of version 2, this service knows version 1',
    );
  });

  it.each(both)('on a log with a gap: %s', async (_, task) => {
    await log.write(4);
    await database.query('update log_head set position = 6');
    await expectRefused(task, 'The log ends at 4, but its head says 6.');
    await appendBatch(on(database), [entry({ d: 0 })]);
    await expectRefused(task, 'The log has a gap: position 7 follows 4.');
  });

  it.each(both)('when stopped: %s', async (_, task) => {
    await log.write(40);
    const stop = new AbortController();
    const say = (): void => {
      stop.abort(new Error('enough'));
    };
    const before = await rows();
    await expect(task({ say, progressEvery: 15, signal: stop.signal })).rejects.toThrow('enough');
    expect(await rows()).toEqual(before);
    expect(await tables()).toEqual(TABLES);
  });

  it('on a database without a log', async () => {
    const empty = await createDatabase('empty');
    const client = await empty.connect();
    const message = 'This database holds no log: start the service first.';
    await expect(verifyProjection(client, options())).rejects.toThrow(message);
    await expect(rebuildProjection(client, options())).rejects.toThrow(message);
    await client.end();
    await empty.drop();
  });
});
