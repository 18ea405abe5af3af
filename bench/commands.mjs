import { call } from './client.mjs';
import { compare, inTurn, refuseFaults } from './measure.mjs';

const REPLICAS = 3;
const CLIENTS = 64;
/** Requests that a process answers before it is measured: V8 has compiled what is hot by then, here and in the floor. */
const WARM_UP = 5000;

/** POST /lora/disable by one client of one replica, beside plain inserts into the same PostgreSQL. */
export async function* kill(stage, { quick }) {
  const [rounds, count] = quick ? [3, 100] : [7, 600];
  const replica = await stage.replica('young');
  await makeFleet(replica.port, 'one', 3);
  await makeFleet(replica.port, 'full', 101);
  const disable = (fleet, times) =>
    stage.load({
      kind: 'http',
      ports: [replica.port],
      clients: 1,
      requests: [{ method: 'POST', path: `/lora/disable?fleet=${fleet}`, body: { reason: 'bench' } }],
      count: times,
      expect: { fleet, enabled: false, distinct: true },
    });
  const insert = (times) => stage.load({ kind: 'insert', url: stage.urlOf('young'), count: times });
  await disable('one', quick ? 100 : WARM_UP);
  await insert(200);
  const before = await headOf(stage);
  const figures = await inTurn(rounds, {
    insert: () => insert(count),
    one: () => disable('one', count),
    full: () => disable('full', count),
  });
  await replica.stop();
  refuseFaults('disable', figures);
  await checkLog(stage, before, [...figures.one, ...figures.full]);
  const row = (name, fleet, percent, most) =>
    compare({
      row: `POST /lora/disable, 1 client${name}, ${percent}`,
      unit: 'ms',
      pick: (each) => each[percent],
      subject: figures[fleet],
      floor: figures.insert,
      bar: { most },
    });
  yield row('', 'one', 'p50', 3);
  yield row('', 'one', 'p99', 4);
  yield row(', full histories', 'full', 'p50', 3);
  yield row(', full histories', 'full', 'p99', 4);
}

/** Commands of 64 clients to three replicas, all on one fleet, beside a bare POST handler on three processes. */
export async function* commands(stage, { quick }) {
  const [rounds, durationMs] = quick ? [2, 500] : [5, 2500];
  const replicas = await Promise.all(Array.from({ length: REPLICAS }, () => stage.replica('young')));
  const bare = await Promise.all(Array.from({ length: REPLICAS }, () => stage.bare()));
  for (const { name, body, enabled } of [
    { name: 'disable', body: { reason: 'bench' }, enabled: false },
    { name: 'deploy', body: { adapter_version: 'v1.0' }, enabled: true },
  ]) {
    const fleet = `many-${name}`;
    await makeFleet(replicas[0].port, fleet, 3);
    const post = (ports, path, expect, howLong) =>
      stage.load({
        kind: 'http',
        ports: ports.map(({ port }) => port),
        clients: CLIENTS,
        requests: requestsOf(name, path, body),
        ...howLong,
        expect,
      });
    const warmUp = { count: Math.ceil(((quick ? WARM_UP / 10 : WARM_UP) * REPLICAS) / CLIENTS) };
    const send = (howLong = { durationMs }) =>
      post(replicas, `/lora/${name}?fleet=${fleet}`, { fleet, enabled, distinct: true }, howLong);
    await send(warmUp);
    // The floor answers with the bytes that the command answers with by now.
    const { text } = await call(replicas[0].port, {
      method: 'POST',
      path: `/lora/${name}?fleet=${fleet}`,
      body,
    });
    for (const each of bare) await each.answerWith(text);
    const floor = (howLong = { durationMs }) => post(bare, `/bare/${name}?fleet=${fleet}`, { text }, howLong);
    await floor(warmUp);
    const before = await headOf(stage);
    const figures = await inTurn(rounds, { floor, send });
    refuseFaults(name, figures);
    await checkLog(stage, before, figures.send);
    const row = (what, unit, pick, bar) =>
      compare({ row: what, unit, pick, subject: figures.send, floor: figures.floor, bar });
    const what = `POST /lora/${name}, ${CLIENTS} clients, ${REPLICAS} replicas, 1 fleet`;
    yield row(what, '/s', ({ perSecond }) => perSecond, { least: 0.5 });
    yield row(`${what}, p50`, 'ms', ({ p50 }) => p50);
    yield row(`${what}, p99`, 'ms', ({ p99 }) => p99);
  }
  await Promise.all([...replicas, ...bare].map(({ stop }) => stop()));
}

/** Deploys go to and fro between some versions, so that each of them changes the state. */
function requestsOf(name, path, body) {
  if (name !== 'deploy') return [{ method: 'POST', path, body }];
  return ['v1.0', 'v1.1', 'v1.2', 'v1.3', 'v1.4'].map((version) => ({
    method: 'POST',
    path,
    body: { adapter_version: version },
  }));
}

/** A fleet with so many deploys, and as many rollbacks, behind it. */
export async function makeFleet(port, fleet, operations) {
  await call(port, { method: 'PUT', path: `/fleets/${fleet}`, body: { adapter_version: 'v1.0' } });
  for (let nth = 0; nth < operations; nth++) {
    await call(port, {
      method: 'POST',
      path: `/lora/deploy?fleet=${fleet}`,
      body: { adapter_version: 'v1.1' },
    });
    await call(port, { method: 'POST', path: `/lora/rollback?fleet=${fleet}` });
  }
}

async function headOf(stage) {
  return stage.asOwner('young', async (client) => {
    const { rows } = await client.query(
      'select position::int, (select count(*)::int from events) as events from log_head',
    );
    if (rows[0].position !== rows[0].events) throw new Error('The log has gaps.');
    return rows[0].position;
  });
}

/** Every acknowledged command is one event of the log, and nothing else is. */
async function checkLog(stage, before, figures) {
  const generations = figures.flatMap(({ generations: each }) => each);
  const after = await headOf(stage);
  const distinct = new Set(generations).size;
  const outside = generations.filter((generation) => generation <= before || generation > after).length;
  if (distinct !== generations.length || outside > 0) {
    const twice = generations.filter((generation, nth) => generations.indexOf(generation) !== nth);
    throw new Error(
      `Answers name generations twice (${twice.slice(0, 5)}) or ${outside} that they cannot have.`,
    );
  }
  // One call beside the load captured the floor's answer before `before` was read.
  if (after - before !== distinct)
    throw new Error(`${distinct} commands acknowledged, ${after - before} in the log.`);
}
