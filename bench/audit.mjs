import { call } from './client.mjs';
import { forgetPeak, peakOf, residentOf } from './memory.mjs';
import { compare, inTurn, refuseFaults } from './measure.mjs';
import { seed } from './seed.mjs';

const FLEETS = 1000;
const PAGE = 500;
const MEGABYTE = 1024 * 1024;

/** `GET /fleets?at=`, 1,000 fleets by the page: the floor are as many fleets with a short log. */
export async function* manyFleets(stage, sizes, at, quick) {
  const row = `GET /fleets?at= of ${FLEETS} fleets${at}`;
  const jobs = {};
  const replicas = [];
  for (const [name, size] of Object.entries(sizes)) {
    const database = `${name}_fleets`;
    await stage.database(database);
    await seed(stage, database, size, FLEETS);
    const replica = await stage.replica(database);
    replicas.push(replica);
    const paths = await pagesAt(replica.port, await timesOf(stage, database, size));
    jobs[name] = () =>
      stage.load({
        kind: 'http',
        ports: [replica.port],
        clients: 1,
        requests: paths.map((path) => ({ path })),
        count: quick ? 4 : 40,
        expect: { fleets: PAGE },
      });
    await jobs[name]();
  }
  const figures = await inTurn(quick ? 3 : 5, jobs);
  await Promise.all(replicas.map(({ stop }) => stop()));
  refuseFaults(row, figures);
  const pick = ({ p50 }) => p50;
  const bar = { most: 1.5 };
  yield compare({ row, unit: 'ms', pick, subject: figures.large, floor: figures.small, bar });
}

/** Times at which all fleets were there, spread over the rest of the log. */
function timesOf(stage, database, size) {
  const positions = Array.from({ length: 10 }, (_, nth) =>
    Math.floor(2 * FLEETS + ((size - 2 * FLEETS) * nth) / 10),
  );
  return stage.asOwner(database, async (client) => {
    const { rows } = await client.query(
      'select rfc3339(recorded_at) as time from events where position = any ($1) order by position',
      [positions],
    );
    return rows.map(({ time }) => time);
  });
}

/** Both pages of each time. */
async function pagesAt(port, times) {
  const first = `/fleets?limit=${PAGE}&at=${times[0]}`;
  const { next_cursor: cursor } = (await call(port, { path: first })).json();
  return times.flatMap((time) => {
    const path = `/fleets?limit=${PAGE}&at=${time}`;
    return [path, `${path}&cursor=${cursor}`];
  });
}

/** A file of the whole log: how far a replica's memory rises while it is sent, beside a file of its newest tenth. */
export async function* wholeExport(stage, size) {
  const since = await stage.asOwner('large', async (client) => {
    const { rows } = await client.query(
      'select rfc3339(recorded_at) as since from events where position = $1',
      [size - size / 10 + 1],
    );
    return rows[0].since;
  });
  const tenth = await exported(stage, `?since=${since}`, size / 10);
  const whole = await exported(stage, '', size);
  const row = `GET /lora/history/export of ${size / 1000}k / ${size / 10_000}k events, VmRSS over idle, at most`;
  refuseFaults(row, { tenth: [tenth], whole: [whole] });
  const pick = ({ risen }) => risen;
  const note = `${whole.megabytes} MB in ${whole.seconds} s`;
  yield compare({ row, unit: 'MB', pick, subject: [whole], floor: [tenth], bar: { most: 1.5 }, note });
}

/** Drains an export of a replica that has done nothing else. */
async function exported(stage, query, events) {
  const replica = await stage.replica('large');
  const idle = await residentOf(replica);
  await forgetPeak(replica);
  const begin = Date.now();
  const { bytes, faults } = await stage.load({ kind: 'drain', port: replica.port, query, events });
  const seconds = Math.round((Date.now() - begin) / 1000);
  const risen = ((await peakOf(replica)) - idle) / MEGABYTE;
  await replica.stop();
  return { risen, seconds, megabytes: Math.round(bytes / MEGABYTE), faults };
}
