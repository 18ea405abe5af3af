import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type pg from 'pg';

import { leafHash } from '../../src/audit/core/leaf.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { appendBatch, type Batch, type Entry, entry, through } from './batches.js';

const FLEETS = 5000;
/** A quarter of a second is usual for an entry; what takes the square of the number of fleets needs five. */
const ENTRY_MAX_S = 1.5;

let database: TestDatabase;
let client: pg.Client;
let usage: string[] = [];
/** The generation of every fleet. */
const generations: Record<string, number> = {};

beforeAll(async () => {
  database = await createDatabase();
  client = await database.connect();
  await client.query("set lc_messages = 'C'; set client_min_messages = log; set log_statement_stats = on");
  client.on('notice', ({ detail }) => usage.push(detail ?? ''));
  for (let i = 0; i < FLEETS; i += 1) generations[`fleet-${i}`] = 0;
  moveTo((await append(entry(generations))).results[0]?.first);
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

const append = (...entries: Entry[]): Promise<Batch> => appendBatch(through(client), entries);

function moveTo(first = 0): void {
  Object.keys(generations).forEach((fleet, nth) => (generations[fleet] = first + nth));
}

/** Seconds of the server's processor, which a busy machine does not change, and what the batch came to. */
async function cost(...entries: Entry[]): Promise<{ seconds: number; batch: Batch }> {
  usage = [];
  const batch = await append(...entries);
  const times = usage.map((text) => /([\d.]+) s user, ([\d.]+) s system/.exec(text)).filter((found) => found);
  expect(times).not.toEqual([]);
  return { seconds: times.reduce((sum, found) => sum + Number(found?.[1]) + Number(found?.[2]), 0), batch };
}

const everywhere = (over: Partial<Entry> = {}): Entry =>
  entry({ ...generations }, { all_fleets: true, ...over });

describe('an entry over thousands of fleets', () => {
  it('takes time by their number, not by its square, whatever becomes of it', async () => {
    const known = everywhere({ key: 'known' });
    const first = await cost(known);
    expect(first.batch.results).toMatchObject([{ status: 'appended', first: FLEETS + 1, last: 2 * FLEETS }]);
    expect(first.batch.results[0]?.recorded_at).toHaveLength(FLEETS);
    const stale = everywhere();
    const again = await cost(known);
    expect(again.batch.results).toMatchObject([{ status: 'duplicate', first: FLEETS + 1 }]);
    moveTo(FLEETS + 1);
    const late = await cost(stale, everywhere());
    expect(late.batch.results).toEqual([{ status: 'conflict' }, { status: 'retry' }]);
    // Beside a duplicate, and the second one on what the first one did.
    const crowd = await cost(entry({ another: 0 }, { key: 'known' }), everywhere(), everywhere());
    expect(crowd.batch.results).toMatchObject([
      { status: 'duplicate' },
      { status: 'appended', first: 2 * FLEETS + 1 },
      { status: 'appended', first: 3 * FLEETS + 1, last: 4 * FLEETS },
    ]);

    for (const { seconds } of [first, again, late]) expect(seconds).toBeLessThan(ENTRY_MAX_S);
    expect(crowd.seconds).toBeLessThan(2 * ENTRY_MAX_S);
  });

  it('leaves a whole log', async () => {
    const { rows } = await client.query<{
      position: number;
      recorded_at: string;
      body: string;
      leaf: string;
    }>(
      `select position::float8 as position, rfc3339(recorded_at) as recorded_at, body, encode(leaf_hash, 'hex') as leaf
       from events order by events.position`,
    );
    expect(rows).toHaveLength(4 * FLEETS);
    const broken = rows.filter(
      ({ position, recorded_at, body, leaf }, nth) =>
        position !== nth + 1 ||
        leaf !== leafHash(position, recorded_at, body).toString('hex') ||
        (nth > 0 && recorded_at <= (rows[nth - 1]?.recorded_at ?? '')),
    );
    expect(broken).toEqual([]);
    const states = await client.query(
      `select position, fleet, recorded_at from events except select generation, fleet, recorded_at from fleet_states`,
    );
    expect(states.rows).toEqual([]);
    const head = await client.query(
      'select from log_head join events using (position, recorded_at) where position = $1',
      [4 * FLEETS],
    );
    expect(head.rows).toHaveLength(1);
  });
});
