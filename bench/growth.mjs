import { manyFleets, wholeExport } from './audit.mjs';
import { compare, inTurn, refuseFaults } from './measure.mjs';
import { QUIET_FLEET, seed } from './seed.mjs';

const PAGE = 100;

/** What takes how much longer on a long log than on a short one. */
export async function* growth(stage, { quick, say }) {
  const sizes = quick ? { large: 20_000, small: 10_000 } : { large: 1_000_000, small: 10_000 };
  const begin = Date.now();
  for (const [name, size] of Object.entries(sizes)) {
    await stage.database(name);
    await seed(stage, name, size);
  }
  say(
    `built logs of ${sizes.large} and ${sizes.small} events in ${((Date.now() - begin) / 1000).toFixed(1)} s`,
  );
  const at = ` at ${sizes.large / 1000}k / ${sizes.small / 1000}k events`;
  yield* start(stage, at, quick);
  yield* reads(stage, sizes, at, quick);
  yield* wholeExport(stage, sizes.large);
  yield* manyFleets(stage, sizes, at, quick);
}

/** From the start of the process to its first 200 of /health/ready. */
async function* start(stage, at, quick) {
  const ready = async (name) => {
    const replica = await stage.replica(name);
    await replica.stop();
    return { readyMs: replica.readyMs, faults: [] };
  };
  const figures = await inTurn(quick ? 1 : 5, { large: () => ready('large'), small: () => ready('small') });
  const pick = ({ readyMs }) => readyMs;
  const row = `ready after start${at}`;
  yield compare({ row, unit: 'ms', pick, subject: figures.large, floor: figures.small, bar: { most: 1.3 } });
}

/** One client, one request at a time; the floor is the short log. */
async function* reads(stage, sizes, at, quick) {
  const [rounds, usually] = quick ? [3, 10] : [5, 80];
  const ports = {};
  const times = {};
  const replicas = [];
  for (const name of Object.keys(sizes)) {
    const replica = await stage.replica(name);
    replicas.push(replica);
    ports[name] = replica.port;
    times[name] = await timesOf(stage, name, sizes[name]);
  }
  const get = (name, { paths, expect, count = usually }) =>
    stage.load({
      kind: 'http',
      ports: [ports[name]],
      clients: 1,
      requests: paths(name).map((path) => ({ path })),
      count,
      expect: typeof expect === 'function' ? expect(name) : expect,
    });
  for (const read of readsOf(times)) {
    for (const name of Object.keys(sizes)) await get(name, read);
    const figures = await inTurn(rounds, {
      large: () => get('large', read),
      small: () => get('small', read),
    });
    refuseFaults(read.row, figures);
    const pick = ({ p50 }) => p50;
    const row = read.row + at;
    const bar = { most: 1.5 };
    yield compare({ row, unit: 'ms', pick, subject: figures.large, floor: figures.small, bar });
  }
  await Promise.all(replicas.map(({ stop }) => stop()));
}

/**
 * Times at which events were recorded: everywhere in the log, and some at which a fleet has full histories, so that
 * short log and long log answer alike.
 */
async function timesOf(stage, name, size) {
  const timesAt = (positions) =>
    stage.asOwner(name, async (client) => {
      const { rows } = await client.query(
        'select rfc3339(recorded_at) as time from events where position = any ($1) order by position',
        [positions],
      );
      return rows.map(({ time }) => time);
    });
  const spread = (from) =>
    Array.from({ length: 40 }, (_, nth) => Math.floor(from + ((size - from) * nth) / 41));
  return {
    everywhere: await timesAt(spread(size / 20)),
    full: await timesAt(spread(Math.max(9_000, size / 20))),
    month: await lastMonth(stage, name),
  };
}

/** The last thirty days of the log, and how many of its events they hold. */
function lastMonth(stage, name) {
  return stage.asOwner(name, async (client) => {
    const { rows } = await client.query(
      `select rfc3339(h.recorded_at - interval '30 days') as since, count(*)::int as events
       from log_head h join events e on e.recorded_at >= h.recorded_at - interval '30 days' group by 1`,
    );
    return rows[0];
  });
}

function readsOf(times) {
  const fleet = 'fleet-07';
  const page = (row, query, events = {}, more = {}) => ({
    row: `GET /lora/history${row}`,
    paths: (name) =>
      (typeof query === 'function' ? query(name) : [query]).map((each) => `/lora/history?${each}`),
    expect: { events: { count: PAGE, ...events } },
    ...more,
  });
  return [
    { row: 'GET /lora/status', paths: () => [`/lora/status?fleet=${fleet}`], expect: { fleet } },
    {
      row: 'GET /lora/status?at=',
      paths: (name) => times[name].full.map((time) => `/lora/status?fleet=${fleet}&at=${time}`),
      expect: { fleet },
    },
    page('', `limit=${PAGE}`),
    page('?cursor= (an old page)', 'cursor=2000'),
    page('?fleet=', `fleet=${fleet}`, { every: { fleet } }),
    page('?fleet= (made long ago, quiet)', `fleet=${QUIET_FLEET}`, {
      count: 1,
      every: { fleet: QUIET_FLEET },
    }),
    page('?type=', 'type=LoraRolledBack', { every: { type: 'LoraRolledBack' } }),
    page('?type= (21 in the whole log)', 'type=LoraInitialized', { count: 21 }),
    page('?fleet=&type=', `fleet=${fleet}&type=LoraDisabled`, { every: { fleet, type: 'LoraDisabled' } }),
    page('?actor=', 'actor=token:ben', { every: { actor: 'token:ben' } }),
    page(
      '?since=&until= (somewhere)',
      (name) => {
        const { everywhere } = times[name];
        return everywhere.slice(5).map((time, nth) => `since=${everywhere[nth]}&until=${time}`);
      },
      {},
      { count: 10 },
    ),
    page(
      '?until= (long ago)',
      (name) => times[name].everywhere.slice(0, 9).map((time) => `until=${time}`),
      {},
      { count: 10 },
    ),
    page('?reference= (20 events)', 'reference=CHG-51', { count: 20, every: { reference: 'CHG-51' } }),
    page('?adapter_version= (20 events)', 'adapter_version=v5.1', {
      count: 20,
      every: { adapter_version: 'v5.1' },
    }),
    page('?fleet=&actor=', `fleet=${fleet}&actor=token:ben`, { every: { fleet, actor: 'token:ben' } }),
    page('?type=&actor= (no event)', 'type=AdapterDeployed&actor=token:ana', { count: 0 }, { count: 10 }),
    page('?reason=', 'reason=LATENCY', { every: { reason: 'latency p99 above 4 s' } }, { count: 10 }),
    page('?reason= (no event)', 'reason=zzz', { count: 0 }, { count: 10 }),
    {
      row: 'GET /lora/history/summary of 30 days',
      paths: (name) => [`/lora/history/summary?since=${times[name].month.since}&limit=${PAGE}`],
      expect: (name) => ({ summary: { events: times[name].month.events, kills: PAGE } }),
    },
  ];
}
