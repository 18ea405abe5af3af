import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import type { LoraEvent } from '../../src/lora/domain/events.js';
import { evolve, type FleetState } from '../../src/lora/domain/state.js';
import { appendBatch, bodyOf, entry, eventFor, on } from '../event-store/batches.js';
import { Random } from '../support/agreement-random.js';
import { startApp, type TestApp } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { lockHead } from '../support/head-lock.js';

/** SUMMARY_SEED=<seed> repeats a run. */
const seed = Number(process.env.SUMMARY_SEED ?? Date.now()) | 0;
process.stdout.write(`seed ${seed}\n`);
const random = new Random(seed);

const FLEETS = ['a', 'b', 'c', 'd'];
const ACTORS = ['token:ana', 'token:ben', 'system'];

interface Row {
  readonly position: number;
  readonly time: string;
  readonly us: number;
  readonly fleet: string;
  readonly type: string;
  readonly enabled: boolean;
  readonly actor: string;
  readonly reason: string;
}

let database: TestDatabase;
let service: TestApp;
let rows: readonly Row[];

beforeAll(async () => {
  database = await createDatabase();
  for (let batch = 0; batch < 12; batch++) {
    await append(20 + random.below(100));
    const steps = [random.below(90), random.below(90)];
    await Promise.all(steps.map((events) => database.query('select tally_log($1)', [events])));
  }
  service = await startApp({}, database);
  rows = await database.query<Row>(
    `select position::int, rfc3339(recorded_at) as time, (extract(epoch from recorded_at) * 1000000)::float8 as us,
       fleet, type, enabled, actor, reason from events order by position`,
  );
});
afterAll(async () => {
  await service.close();
  await database.drop();
});

const fleets = new Map<string, { generation: number; state: FleetState }>();
let written = 0;

async function append(count: number): Promise<void> {
  const before = new Map(fleets);
  const entries = Array.from({ length: count }, () => {
    const fleet = random.pick(FLEETS);
    const actor = random.pick(ACTORS);
    const known = fleets.get(fleet)?.state ?? null;
    const body = bodyOf({ ...anyEvent(fleet, known), actor });
    const state = evolve(known, body);
    fleets.set(fleet, { generation: ++written, state });
    const event = { ...eventFor(body), state };
    return entry({ [fleet]: before.get(fleet)?.generation ?? 0 }, { events: [event] });
  });
  const { results } = await appendBatch(on(database), entries);
  expect(results.every(({ status }) => status === 'appended')).toBe(true);
}

function anyEvent(fleet: string, state: FleetState | null): LoraEvent {
  const fact = { fleet, adapter_version: null, from_version: null, to_version: null, reference: null };
  const reason = `step ${written}`;
  if (state === null) return { ...fact, reason, type: 'LoraInitialized', enabled: random.chance(0.5) };
  const type = random.pick(['LoraDisabled', 'LoraEnabled', 'LoraRolledBack'] as const);
  const enabled = { LoraDisabled: false, LoraEnabled: true, LoraRolledBack: state.enabled }[type];
  return { ...fact, reason, type, enabled } as LoraEvent;
}

/** What a summary must say, counted row by row. */
function counted(since: number, until: number, fleet: string | null) {
  const summary = { events: 0, by_type: {}, by_fleet: {}, by_actor: {} };
  const count = (by: Record<string, number>, name: string): number => (by[name] = (by[name] ?? 0) + 1);
  const kills: { position: number; enabled_again_at: string | null; disabled_seconds: number | null }[] = [];
  const lasted = new Map<string, number>();
  for (const row of rows.filter((each) => fleet === null || each.fleet === fleet)) {
    const its = rows.filter((each) => each.fleet === row.fleet);
    const at = its.indexOf(row);
    const isIn = row.us >= since && row.us < until;
    if (isIn) {
      summary.events++;
      count(summary.by_type, row.type);
      count(summary.by_fleet, row.fleet);
      count(summary.by_actor, row.actor);
    }
    if (row.enabled || its[at - 1]?.enabled === false) continue;
    const end = its.slice(at).find(({ enabled }) => enabled);
    const within = Math.min(end?.us ?? Infinity, until) - Math.max(row.us, since);
    if (within > 0) lasted.set(row.fleet, (lasted.get(row.fleet) ?? 0) + within);
    if (isIn && row.type === 'LoraDisabled') {
      const { position, time: recorded_at, actor, reason } = row;
      const spell = {
        enabled_again_at: end?.time ?? null,
        disabled_seconds: end === undefined ? null : seconds(end.us - row.us),
      };
      const who = { fleet: row.fleet, actor, reason, reference: null };
      kills.unshift({ position, recorded_at, ...who, ...spell, acknowledged_seconds: null } as never);
    }
  }
  const disabled_seconds = Object.fromEntries([...lasted].map(([name, us]) => [name, seconds(us)]));
  return { ...summary, disabled_seconds, kills };
}

const seconds = (us: number): number => Math.round(us / 1000) / 1000;

/** All pages of a summary as one; every page must say the same but for its kills. */
async function summaryOf(query: string) {
  let whole: object | undefined;
  const kills: unknown[] = [];
  const limit = 1 + random.below(40);
  for (let cursor: string | null = ''; cursor !== null;) {
    const from: string = cursor === '' ? '' : `&cursor=${cursor}`;
    const { status, body } = await service.api.get(`/lora/history/summary?${query}&limit=${limit}${from}`);
    expect(status).toBe(200);
    const { kills: page, next_cursor, ...rest } = body as unknown as Record<string, unknown>;
    whole ??= rest;
    expect(rest).toEqual(whole);
    expect((page as unknown[]).length).toBeLessThanOrEqual(limit);
    kills.push(...(page as unknown[]));
    cursor = next_cursor as string | null;
  }
  return { ...whole, kills };
}

describe('GET /lora/history/summary of a random log', () => {
  it.each(Array.from({ length: 25 }, (_, nth) => nth))('is what its rows are, counted: %i', async (nth) => {
    const [one, other] = [random.pick(rows), random.pick(rows)];
    const [since, until] = one.position <= other.position ? [one, other] : [other, one];
    const fleet = nth % 2 === 0 ? null : random.pick(FLEETS);
    const from = nth % 5 === 0 ? '' : `&since=${since.time}`;
    const query = `until=${until.time}${from}${fleet === null ? '' : `&fleet=${fleet}`}`;
    expect({ query, ...(await summaryOf(query)) }).toEqual({
      query,
      since: nth % 5 === 0 ? null : since.time,
      until: until.time,
      fleet,
      ...counted(nth % 5 === 0 ? 0 : since.us, until.us, fleet),
    });
  });

  it('ends now: who is disabled goes on being so', async () => {
    const { kills, events, disabled_seconds } = counted(0, Infinity, null);
    const open = Object.keys(disabled_seconds).filter((fleet) => !fleets.get(fleet)?.state.enabled);
    const { body } = await service.api.get('/lora/history/summary?limit=500');
    expect(body).toMatchObject({ events, kills: kills.slice(0, 500) });
    const { body: later } = await service.api.get('/lora/history/summary?until=2999-01-01T00:00:00Z');
    for (const fleet of open) {
      const [first, second] = [body, later].map((each) => Number(each.disabled_seconds?.[fleet]));
      expect(second).toBeGreaterThanOrEqual(first ?? Infinity);
    }
    const ended = Object.entries(disabled_seconds).filter(([fleet]) => !open.includes(fleet));
    expect(body.disabled_seconds).toMatchObject(Object.fromEntries(ended));
  });

  it('of a time that has not come is nothing', async () => {
    const { body } = await service.api.get('/lora/history/summary?since=2999-01-01T00:00:00Z');
    expect(body).toMatchObject({
      events: 0,
      by_fleet: {},
      disabled_seconds: {},
      kills: [],
      next_cursor: null,
    });
  });
});

it('a summary waits for no command that is being appended', async () => {
  const held = await lockHead(database);
  try {
    expect((await service.api.get('/lora/history/summary')).status).toBe(200);
  } finally {
    await held.release();
  }
});

it('tallies that were lost are counted again', async () => {
  const before = await service.api.get(`/lora/history/summary?until=${rows.at(-1)?.time ?? ''}`);
  await database.query('truncate event_kinds, event_tallies, disabled_spells');
  await database.query('update tally_head set position = 0');
  const after = await service.api.get(`/lora/history/summary?until=${rows.at(-1)?.time ?? ''}`);
  expect(after.body).toEqual(before.body);
});
