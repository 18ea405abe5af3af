import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type pg from 'pg';
import { leafHash, sha256 } from '../../src/audit/core/leaf.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/http.js';
import {
  appendBatch,
  type Asking,
  type Batch,
  bodyOf,
  type Entry,
  entry,
  eventFor,
  on,
  type Since,
  statusesOf,
} from './batches.js';
import { GOLDEN_EVENTS } from './golden-events.js';
import { SimpleLog } from './simple-log.js';

interface EventRow {
  readonly position: number;
  readonly recorded_at: string;
  readonly leaf_hash: string;
  readonly body: string;
  readonly id: string;
  readonly type: string;
  readonly fleet: string;
  readonly adapter_version: string | null;
  readonly from_version: string | null;
  readonly to_version: string | null;
  readonly enabled: boolean;
  readonly reason: string;
  readonly reference: string | null;
  readonly actor: string;
}

let database: TestDatabase;
let ask: Asking;

beforeEach(async () => {
  database = await createDatabase();
  ask = on(database);
});
afterEach(() => database.drop());

const append = (...entries: Entry[]): Promise<Batch> => appendBatch(ask, entries);
const statuses = (...entries: Entry[]): Promise<string[]> => statusesOf(ask, entries);
/** With the log that the sender takes it for, and the position up to which it knows it. */
const appendTo = async (logId: string | null, known: number | null, ...entries: Entry[]) => {
  const rows = await ask('select append_batch($1, $2, $3) as answer', [
    JSON.stringify(entries),
    logId,
    known,
  ]);
  return rows[0]?.answer as Partial<Batch>;
};
const since = async (position: number): Promise<Since> =>
  (await ask('select log_since($1) as answer', [position]))[0]?.answer as Since;
const logId = async (): Promise<string> => (await since(0)).log_id;
/** The id of the first event that an entry appends. */
const idOf = ({ events: [first] }: Entry): string => (JSON.parse(first?.body ?? '{}') as { id: string }).id;

const log = (): Promise<EventRow[]> =>
  database.query<EventRow>(
    `select position::float8 as position, rfc3339(recorded_at) as recorded_at, encode(leaf_hash, 'hex') as leaf_hash,
       body, id, type, fleet, adapter_version, from_version, to_version, enabled, reason, reference, actor
     from events order by position`,
  );
const fleetsOfLog = async (): Promise<string[]> => (await log()).map(({ fleet }) => fleet);

const head = async (): Promise<{ position: number; recorded_at: string | null }> => {
  const [row] = await database.query<{ position: number; recorded_at: string | null }>(
    'select position::float8 as position, rfc3339(recorded_at) as recorded_at from log_head',
  );
  if (row === undefined) throw new Error('The log has no head.');
  return row;
};

/** What must be true of every log, whatever was sent to it. */
async function expectWholeLog(): Promise<void> {
  const rows = await log();
  expect(rows.map(({ position }) => position)).toEqual(rows.map((_, i) => i + 1));
  for (const [i, row] of rows.entries()) {
    expect(row.leaf_hash).toBe(leafHash(row.position, row.recorded_at, row.body).toString('hex'));
    if (i > 0) expect(row.recorded_at > (rows[i - 1]?.recorded_at ?? '')).toBe(true);
  }
  expect(await head()).toEqual({
    position: rows.length,
    recorded_at: rows.at(-1)?.recorded_at ?? null,
  });
  const states = await database.query(
    'select position, fleet, recorded_at from events except select generation, fleet, recorded_at from fleet_states',
  );
  expect(states).toEqual([]);
}

describe('an entry', () => {
  it('is appended when its fleet is at the generation that it expects', async () => {
    const first = await append(entry({ a: 0 }));
    const second = await append(entry({ a: 1 }));

    const [named] = await database.query<{ log_id: string }>('select log_id from log_head');
    const log_id = named?.log_id;
    const times = (await log()).map(({ recorded_at }) => recorded_at);
    expect(first).toEqual({
      log_id,
      position: 1,
      results: [{ status: 'appended', first: 1, last: 1, recorded_at: [times[0]] }],
      since: null,
    });
    expect(second).toEqual({
      log_id,
      position: 2,
      results: [{ status: 'appended', first: 2, last: 2, recorded_at: [times[1]] }],
      since: null,
    });
    await expectWholeLog();
  });

  it('fills the columns from the members of its body, and keeps the state as given', async () => {
    const body = bodyOf({
      fleet: 'eu-1',
      type: 'AdapterDeployed',
      adapter_version: 'v2',
      from_version: 'v1',
      to_version: 'v2',
      reason: 'Grund: "Größe" 👩‍💻\t\\',
      reference: 'T-1',
      actor: 'token:ana',
    });
    const event = eventFor(body);
    await append(entry({ 'eu-1': 0 }, { events: [event] }));

    const [row] = await log();
    const { id, type, fleet, adapter_version, from_version, to_version, enabled, reason, reference, actor } =
      body;
    expect(row).toMatchObject({
      body: event.body,
      ...{ id, type, fleet, adapter_version, from_version, to_version, enabled, reason, reference, actor },
    });
    expect(await database.query('select fleet, state from fleet_states')).toEqual([
      { fleet: 'eu-1', state: event.state },
    ]);
  });

  it('remembers its key with what was asked and where it went', async () => {
    const fingerprint = sha256('disable everything').toString('hex');
    await append(entry({ a: 0 }), entry({ b: 0, c: 0 }, { caller: 'token:ana', key: 'k', fingerprint }));
    expect(
      await database.query(
        `select caller, key, encode(fingerprint, 'hex') as fingerprint, first_position::int, last_position::int
         from command_keys where key = 'k'`,
      ),
    ).toEqual([{ caller: 'token:ana', key: 'k', fingerprint, first_position: 2, last_position: 3 }]);
  });

  it('with nothing to append is confirmed, and leaves nothing behind', async () => {
    await append(entry({ a: 0 }));
    const before = await head();
    expect(await append(entry({ a: 1 }, { key: 'k', events: [] }))).toMatchObject({
      position: 1,
      results: [{ status: 'confirmed' }],
    });
    expect(await statuses(entry({ nowhere: 0 }, { events: [] }))).toEqual(['confirmed']);
    expect(await head()).toEqual(before);
    expect(await database.query("select from command_keys where key = 'k'")).toEqual([]);
    expect(await statuses(entry({ a: 1 }, { key: 'k' }))).toEqual(['appended']);
  });

  it.each([
    ['an older generation', { a: 1 }],
    ['none', { a: 0 }],
    ['a generation that has not been', { a: 3 }],
    ['a generation of another fleet', { a: 3, b: 2 }],
    ['one of a fleet that does not exist', { nowhere: 1 }],
  ])('is a conflict when it expects %s', async (_, expected) => {
    await append(entry({ a: 0 }), entry({ a: 0 }), entry({ b: 0 }));
    expect(await statuses(entry(expected, { key: 'k' }))).toEqual(['conflict']);
    expect(await statuses(entry(expected, { events: [] }))).toEqual(['conflict']);
    expect(await fleetsOfLog()).toEqual(['a', 'a', 'b']);
    expect(await database.query("select from command_keys where key = 'k'")).toEqual([]);
  });

  it('sent again is a duplicate wherever its fleet stands by now, and tells where it went and as what', async () => {
    const twice = entry({ a: 0, b: 0 }, { key: 'k' });
    await append(entry({ c: 0 }), twice);
    const duplicate = { status: 'duplicate', first: 2, last: 3, id: idOf(twice) };
    expect((await append(twice)).results).toEqual([duplicate]);
    await append(entry({ a: 2 }));
    expect((await append(twice)).results).toEqual([duplicate]);
    expect((await append({ ...twice, events: [] })).results).toEqual([duplicate]);
    // Another try of the same command has other events; whose they are that the log holds is told by the id.
    const another = entry({ a: 4, b: 3 }, { key: 'k' });
    expect(idOf(another)).not.toBe(idOf(twice));
    expect((await append(another)).results).toEqual([duplicate]);
    expect(await fleetsOfLog()).toEqual(['c', 'a', 'b', 'a']);
  });

  it('is refused under a key that belongs to another command of its caller', async () => {
    const first = entry({ a: 0 }, { key: 'k' });
    await append(first);
    const other = entry({ a: 1 }, { key: 'k', fingerprint: sha256('something else').toString('hex') });
    expect((await append(other)).results).toEqual([
      { status: 'key_reused', first: 1, last: 1, id: idOf(first) },
    ]);
    expect(await fleetsOfLog()).toEqual(['a']);
    expect(await statuses({ ...other, caller: 'token:ana' })).toEqual(['appended']);
  });

  it('that cannot be stored takes the whole batch with it', async () => {
    const twice = bodyOf({ fleet: 'a' });
    const batch = [entry({ b: 0 }), entry({ a: 0 }, { events: [eventFor(twice), eventFor(twice)] })];
    await expect(append(...batch)).rejects.toMatchObject({ code: '23505' });
    expect(await log()).toEqual([]);
    expect(await statuses(entry({ b: 0 }))).toEqual(['appended']);
    await expectWholeLog();
  });
});

describe('an event of a fleet that its entry does not name', () => {
  it.each([
    ['beside one that it names', { a: 0 }, ['a', 'b']],
    ['alone', { a: 0 }, ['b']],
    ['in an entry that names none', {}, ['a']],
  ])('is an error, %s: its generation would not be checked', async (_, expected, fleets) => {
    const events = fleets.map((fleet) => eventFor(bodyOf({ fleet })));
    await expect(append(entry({ c: 0 }), entry(expected, { events }))).rejects.toThrow(
      'an event of a fleet that its entry does not name',
    );
    expect(await log()).toEqual([]);
    expect(await head()).toEqual({ position: 0, recorded_at: null });
  });
});

describe('a batch that names the log it is meant for', () => {
  const ANOTHER = '11111111-2222-4333-8444-555555555555';

  it('does nothing in another log but tell what is there', async () => {
    const first = entry({ a: 0 }, { key: 'k' });
    await append(first, entry({ b: 0 }));
    const before = await log();

    // Neither is a duplicate told, which would be one of another history.
    const answer = await appendTo(ANOTHER, 0, first, entry({ c: 0 }), entry({ b: 2 }, { events: [] }));
    expect(answer).toEqual({ since: await since(0) });
    expect(answer.since).toMatchObject({
      log_id: await logId(),
      position: 2,
      rows: [{ position: 1 }, { position: 2 }],
    });
    expect(await log()).toEqual(before);
    expect(await database.query("select from command_keys where key <> 'k'")).toHaveLength(1);
    expect(await statuses(entry({ c: 0 }))).toEqual(['appended']);
  });

  it('goes on when it is that log', async () => {
    expect(await appendTo(await logId(), 0, entry({ a: 0 }))).toMatchObject({
      position: 1,
      results: [{ status: 'appended' }],
      since: null,
    });
  });

  it('does nothing once the log has got another name', async () => {
    const name = await logId();
    await database.query('update log_head set log_id = gen_random_uuid()');
    const answer = await appendTo(name, 0, entry({ a: 0 }));
    expect(answer).toEqual({ since: await since(0) });
    expect(answer.since?.log_id).not.toBe(name);
    expect(await log()).toEqual([]);
  });
});

describe('a conflict', () => {
  beforeEach(async () => {
    await append(entry({ a: 0 }), entry({ b: 0 }), entry({ a: 0 }));
  });

  it('brings what came after the position that the sender knows, and what its batch appended', async () => {
    const answer = await appendTo(await logId(), 1, entry({ a: 1 }), entry({ c: 0 }));
    expect(answer.results?.map(({ status }) => status)).toEqual(['conflict', 'appended']);
    expect(answer.since?.position).toBe(4);
    const told = answer.since?.rows.map(({ position, fleet }) => `${position} ${fleet}`);
    expect(told).toEqual(['2 b', '3 a', '4 c']);
    const [, , third] = await log();
    const [state] = await database.query<{ state: unknown }>(
      'select state from fleet_states where generation = 3',
    );
    expect(answer.since?.rows[1]).toEqual({
      position: 3,
      recorded_at: third?.recorded_at,
      leaf: third?.leaf_hash,
      type: third?.type,
      fleet: 'a',
      from_version: null,
      to_version: null,
      enabled: true,
      reason: third?.reason,
      actor: 'anonymous',
      state: state?.state,
    });
  });

  it('tells the leaf at that position, so that the sender sees whether the log is still the one it knows', async () => {
    const [first] = await log();
    const answer = await appendTo(await logId(), 1, entry({ a: 1 }));
    expect(answer.since?.leaf).toBe(first?.leaf_hash);
  });

  it('brings nothing to a sender that did not say what it knows', async () => {
    expect((await append(entry({ a: 1 }))).since).toBeNull();
    expect((await appendTo(await logId(), null, entry({ a: 1 }))).since).toBeNull();
  });

  it('alone does: what was appended, a duplicate or to be confirmed brings nothing', async () => {
    const known = entry({ d: 0 }, { key: 'k' });
    await append(known);
    const answer = await appendTo(await logId(), 0, known, entry({ e: 0 }), entry({ b: 2 }, { events: [] }));
    expect(answer.results?.map(({ status }) => status)).toEqual(['duplicate', 'appended', 'confirmed']);
    expect(answer.since).toBeNull();
  });
});

describe('several entries of one fleet in a batch', () => {
  it('stand on each other, all expecting the generation before the batch', async () => {
    await append(entry({ a: 0 }));
    const { results } = await append(
      entry({ a: 1 }),
      entry({ b: 0 }),
      entry({ a: 1 }, { events: [] }),
      entry({ a: 1 }),
      entry({ b: 0, a: 1 }),
    );
    expect(results.map(({ status, first, last }) => ({ status, first, last }))).toEqual([
      { status: 'appended', first: 2, last: 2 },
      { status: 'appended', first: 3, last: 3 },
      { status: 'confirmed' },
      { status: 'appended', first: 4, last: 4 },
      { status: 'appended', first: 5, last: 6 },
    ]);
    expect(await fleetsOfLog()).toEqual(['a', 'a', 'b', 'a', 'b', 'a']);
    await expectWholeLog();
  });

  const known = { key: 'known' };
  const stops: [string, Entry][] = [
    ['a duplicate', entry({ a: 1 }, known)],
    ['a key used twice', entry({ a: 1 }, { ...known, fingerprint: sha256('another').toString('hex') })],
    ['a conflict', entry({ a: 7 })],
    ['a conflict with nothing to append', entry({ a: 7 }, { events: [] })],
  ];

  it.each(stops)('stop at %s; other fleets go on', async (_, stop) => {
    await append(entry({ a: 0 }, known));
    expect(
      await statuses(
        entry({ b: 0 }),
        stop,
        entry({ a: 1 }),
        entry({ b: 0 }),
        entry({ a: 1 }, { events: [] }),
      ),
    ).toEqual([
      'appended',
      expect.not.stringMatching(/appended|confirmed|retry/),
      'retry',
      'appended',
      'retry',
    ]);
    expect(await fleetsOfLog()).toEqual(['a', 'b', 'b']);
    await expectWholeLog();
  });

  it('stop in the middle too: what came before stays', async () => {
    await append(entry({ a: 0 }, known));
    expect(await statuses(entry({ a: 1 }), entry({ a: 1 }, known), entry({ a: 1 }))).toEqual([
      'appended',
      'duplicate',
      'retry',
    ]);
    expect(await fleetsOfLog()).toEqual(['a', 'a']);
  });

  it('under one key: the first is appended, the next is its duplicate', async () => {
    const { results } = await append(entry({ a: 0 }, known), entry({ a: 0 }, known), entry({ a: 0 }));
    expect(results).toMatchObject([
      { status: 'appended', first: 1 },
      { status: 'duplicate', first: 1 },
      { status: 'retry' },
    ]);
  });

  it('still tell a duplicate after a stop, because nothing needs to be decided again', async () => {
    await append(entry({ a: 0 }, known));
    expect(await statuses(entry({ a: 7 }), entry({ a: 1 }, known))).toEqual(['conflict', 'duplicate']);
  });
});

describe('an entry over several fleets', () => {
  it('is appended in one piece, in the order of its events', async () => {
    const { results } = await append(entry({ b: 0, a: 0, c: 0 }));
    expect(results).toMatchObject([{ status: 'appended', first: 1, last: 3 }]);
    expect(new Set(results[0]?.recorded_at).size).toBe(3);
    expect(await fleetsOfLog()).toEqual(['b', 'a', 'c']);
    await expectWholeLog();
  });

  it('is a conflict as a whole when one of its fleets has moved, and stops all of them', async () => {
    await append(entry({ a: 0 }), entry({ b: 0 }));
    expect(await statuses(entry({ a: 1, b: 1 }), entry({ a: 1 }), entry({ b: 2 }), entry({ c: 0 }))).toEqual([
      'conflict',
      'retry',
      'retry',
      'appended',
    ]);
    expect(await fleetsOfLog()).toEqual(['a', 'b', 'c']);
  });

  it('is to be decided again when one of its fleets was stopped, and stops the others', async () => {
    await append(entry({ a: 0 }), entry({ b: 0 }), entry({ c: 0 }));
    expect(await statuses(entry({ a: 9 }), entry({ a: 1, b: 2 }), entry({ b: 2 }), entry({ c: 3 }))).toEqual([
      'conflict',
      'retry',
      'retry',
      'appended',
    ]);
  });
});

describe('an entry over all fleets', () => {
  const everywhere = { all_fleets: true };

  beforeEach(async () => {
    await append(entry({ a: 0 }), entry({ b: 0 }));
  });

  it('is appended when it names exactly the fleets that there are', async () => {
    const { results } = await append(entry({ a: 1, b: 2 }, everywhere));
    expect(results).toMatchObject([{ status: 'appended', first: 3, last: 4 }]);
  });

  it.each([
    ['lacks one', { a: 1 }],
    ['names none', {}],
    ['names one that does not exist beside them', { a: 1, b: 2, ghost: 0 }],
    ['names one that does not exist in the place of one that does', { a: 1, ghost: 0 }],
    ['knows an older generation of one', { a: 1, b: 1 }],
  ])('is a conflict when it %s', async (_, expected) => {
    // With the events of the fleets that exist, as a replica would send it.
    const events = entry({ a: 1, b: 2 }).events;
    expect(await statuses(entry(expected, { ...everywhere, events }))).toEqual(['conflict']);
    expect(await fleetsOfLog()).toEqual(['a', 'b']);
  });

  it('is a conflict when it names a fleet that an entry before it found absent', async () => {
    const events = entry({ a: 1 }).events;
    expect(
      await statuses(
        entry({ ghost: 0 }, { events: [] }),
        entry({ a: 1, ghost: 0 }, { ...everywhere, events }),
      ),
    ).toEqual(['confirmed', 'conflict']);
  });

  it('needs a fleet that an entry before it in the batch has made', async () => {
    expect(await statuses(entry({ c: 0 }), entry({ a: 1, b: 2 }, everywhere))).toEqual([
      'appended',
      'conflict',
    ]);
    expect(await statuses(entry({ d: 0 }), entry({ a: 1, b: 2, c: 3, d: 0 }, everywhere))).toEqual([
      'appended',
      'appended',
    ]);
    await expectWholeLog();
  });

  it('that is a conflict stops every fleet it names', async () => {
    expect(await statuses(entry({ a: 1, b: 1 }, everywhere), entry({ a: 1 }), entry({ b: 2 }))).toEqual([
      'conflict',
      'retry',
      'retry',
    ]);
  });
});

it('an entry over all fleets of an empty log is confirmed', async () => {
  expect(await statuses(entry({}, { all_fleets: true }))).toEqual(['confirmed']);
  expect(await head()).toEqual({ position: 0, recorded_at: null });
});

describe('order and time', () => {
  it('has no gap and rises strictly, also under many writers at once and after some gave up', async () => {
    const writers = 6;
    const each = 15;
    await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        const client = await database.connect();
        let generation = 0;
        for (let i = 0; i < each; i += 1) {
          const through: Asking = async (sql, parameters) =>
            (await client.query<{ answer: unknown }>(sql, parameters)).rows;
          await client.query('begin');
          const { results } = await appendBatch(through, [entry({ [`w${writer}`]: generation })]);
          const keep = i % 3 !== 1;
          await client.query(keep ? 'commit' : 'rollback');
          if (keep) generation = results[0]?.last ?? 0;
        }
        await client.end();
      }),
    );
    expect(await log()).toHaveLength((writers * each * 2) / 3);
    await expectWholeLog();
  });

  it('counts microseconds on when the clock stands still or goes back', async () => {
    await append(entry({ a: 0 }));
    await database.query("update log_head set recorded_at = '2100-01-01T00:00:00.999998Z'");
    const { results } = await append(entry({ b: 0, c: 0 }), entry({ d: 0 }));
    expect(results.map(({ recorded_at }) => recorded_at)).toEqual([
      ['2100-01-01T00:00:00.999999Z', '2100-01-01T00:00:01.000000Z'],
      ['2100-01-01T00:00:01.000001Z'],
    ]);
    expect(await head()).toEqual({ position: 4, recorded_at: '2100-01-01T00:00:01.000001Z' });
    await expectWholeLog();
  });

  it('takes its time from the clock of the database otherwise', async () => {
    const clock = async (): Promise<string | undefined> =>
      (await database.query<{ now: string }>('select rfc3339(clock_timestamp()) as now'))[0]?.now;
    const earlier = await clock();
    const { results } = await append(entry({ a: 0 }));
    const times = [earlier, results[0]?.recorded_at?.[0], await clock()];
    expect(times).toEqual([...times].sort());
    expect(times).not.toContain(undefined);
  });
});

describe('the format of events in SQL', () => {
  it.each(GOLDEN_EVENTS)('$name', async (golden) => {
    await database.query(
      "update log_head set position = $1, recorded_at = $2::timestamptz - interval '1 microsecond'",
      [golden.position - 1, golden.recorded_at],
    );
    const event = { body: golden.body, state: eventFor(golden.event).state };
    expect((await append(entry({ [golden.event.fleet]: 0 }, { events: [event] }))).results).toEqual([
      {
        status: 'appended',
        first: golden.position,
        last: golden.position,
        recorded_at: [golden.recorded_at],
      },
    ]);

    const { id, type, fleet, reason, reference, actor } = golden.event;
    const { position, recorded_at, body, leaf_hash } = golden;
    expect(await log()).toMatchObject([
      { position, recorded_at, body, leaf_hash, id, type, fleet, reason, reference, actor },
    ]);
  });
});

describe('the notification', () => {
  let listener: pg.Client;
  const heard: (string | undefined)[] = [];

  beforeEach(async () => {
    heard.length = 0;
    listener = await database.connect();
    listener.on('notification', ({ channel, payload }) => heard.push(`${channel} ${payload}`));
    await listener.query('listen lora_log');
  });
  afterEach(() => listener.end());

  it('comes once for a batch, with the head, and not at all when nothing was appended', async () => {
    await append(entry({ a: 0 }, { key: 'k' }), entry({ b: 0, c: 0 }), entry({ a: 0 }));
    expect(
      await statuses(entry({ a: 0 }, { key: 'k' }), entry({ b: 0 }), entry({ d: 0 }, { events: [] })),
    ).toEqual(['duplicate', 'conflict', 'confirmed']);
    await append(entry({ d: 0 }));
    await eventually(() => heard.includes('lora_log 5'));
    expect(heard).toEqual(['lora_log 4', 'lora_log 5']);
  });
});

describe('what tells the state', () => {
  const latest = async (fleets: string[] | null) =>
    (
      (
        await database.query<{ answer: { fleet: string; generation: number }[] }>(
          'select latest_states($1) as answer',
          [fleets],
        )
      )[0]?.answer ?? []
    ).map(({ fleet, generation }) => `${fleet} ${generation}`);

  beforeEach(async () => {
    await append(entry({ b: 0 }), entry({ 'a-2': 0 }), entry({ a: 0 }), entry({ b: 0 }));
  });

  it('names every fleet once, in the order of its characters', async () => {
    expect(await database.query('select fleet_names() as fleet')).toEqual(
      ['a', 'a-2', 'b'].map((fleet) => ({ fleet })),
    );
  });

  it('gives the newest state of the fleets asked for, leaving out what there is not', async () => {
    expect(await latest(null)).toEqual(['a 3', 'a-2 2', 'b 4']);
    expect(await latest(['b', 'nowhere', 'a'])).toEqual(['a 3', 'b 4']);
    expect(await latest([])).toEqual([]);
  });

  it('tells what came after a position, with the leaf there and the head', async () => {
    const rows = await log();
    const name = await logId();
    const told = await since(2);
    expect(told).toMatchObject({ log_id: name, position: 4, leaf: rows[1]?.leaf_hash });
    expect(told.rows.map(({ position }) => position)).toEqual([3, 4]);
    expect(await since(4)).toEqual({ log_id: name, position: 4, leaf: rows[3]?.leaf_hash, rows: [] });
    expect((await since(0)).leaf).toBeNull();
    // A position that the log has not reached: it went backwards for whoever asks so.
    expect(await since(9)).toEqual({ log_id: name, position: 4, leaf: null, rows: [] });
  });

  it('tells 1,000 events at a time', async () => {
    const many = await createDatabase();
    try {
      await new SimpleLog(on(many)).write(1001);
      const page = async (position: number): Promise<Since> =>
        (await on(many)('select log_since($1) as answer', [position]))[0]?.answer as Since;
      const first = await page(0);
      expect(first.position).toBe(1001);
      expect(first.rows.map(({ position }) => position)).toEqual(
        Array.from({ length: 1000 }, (_, i) => i + 1),
      );
      expect((await page(1)).rows).toHaveLength(1000);
      expect((await page(1000)).rows).toMatchObject([{ position: 1001 }]);
    } finally {
      await many.drop();
    }
  });

  it('gives the whole of it at one moment', async () => {
    const [told] = await database.query<{ answer: unknown }>('select log_snapshot() as answer');
    const name = await logId();
    const rows = await log();
    const states = await database.query<{ fleet: string; generation: number; state: unknown }>(
      'select fleet, generation::int, state from fleet_states where generation > 1 order by fleet',
    );
    expect(told?.answer).toEqual({
      log_id: name,
      position: 4,
      leaf: rows[3]?.leaf_hash,
      states: states.map((state) => ({ ...state, recorded_at: rows[state.generation - 1]?.recorded_at })),
    });
  });

  it('says of an empty log that it is empty', async () => {
    const empty = await createDatabase();
    try {
      const answer = async (sql: string) => (await empty.query<{ answer: unknown }>(sql))[0]?.answer;
      const [named] = await empty.query<{ log_id: string }>('select log_id from log_head');
      const nothing = { log_id: named?.log_id, position: 0, leaf: null };
      expect(await answer('select log_snapshot() as answer')).toEqual({ ...nothing, states: [] });
      expect(await answer('select log_since(0) as answer')).toEqual({ ...nothing, rows: [] });
    } finally {
      await empty.drop();
    }
  });

  it('holds the head until the end of the transaction, and hands out what is committed then', async () => {
    const first = await database.connect();
    const second = await database.connect();
    try {
      await first.query('begin');
      await first.query('select lock_head(0)');
      const waiting = second.query<{ answer: Since }>('select lock_head(4) as answer');
      await eventually(
        async () =>
          (
            await database.query(
              "select from pg_stat_activity where query like '%lock_head%' and wait_event_type = 'Lock'",
            )
          ).length === 1,
      );
      await first.query('select append_batch($1)', [JSON.stringify([entry({ a: 3 })])]);
      await first.query('commit');
      const { rows } = await waiting;
      expect(rows[0]?.answer).toMatchObject({
        position: 5,
        rows: [{ position: 5, fleet: 'a', state: { last_operation: 'enabled' } }],
      });
      // Nobody else got in between, and the same connection appends under the lock that it has.
      expect(rows[0]?.answer).toEqual(await since(4));
    } finally {
      await first.end();
      await second.end();
    }
  });
});
