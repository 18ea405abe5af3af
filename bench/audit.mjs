import { call } from './client.mjs';
import { forgetPeak, peakOf, residentOf } from './memory.mjs';
import { absolute, compare, inTurn, refuseFaults } from './measure.mjs';
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

/** A file of the whole log: how far the replica's memory rises while it is sent as fast as the reader takes it. */
export async function* wholeExport(stage, size) {
  const replica = await stage.replica('large');
  const idle = await residentOf(replica);
  await forgetPeak(replica);
  const begin = Date.now();
  const { bytes, faults } = await stage.load({ kind: 'drain', port: replica.port, events: size });
  const seconds = (Date.now() - begin) / 1000;
  const peak = await peakOf(replica);
  await replica.stop();
  const row = `GET /lora/history/export of ${size / 1000}k events, VmRSS over idle, at most`;
  refuseFaults(row, { export: [{ faults }] });
  yield absolute({
    row,
    unit: 'MB',
    measured: (peak - idle) / MEGABYTE,
    bar: { most: 150 },
    note: `${(bytes / MEGABYTE).toFixed(0)} MB in ${seconds.toFixed(0)} s`,
  });
}
