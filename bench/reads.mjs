import { call } from './client.mjs';
import { makeFleet } from './commands.mjs';
import { compare, inTurn, refuseFaults } from './measure.mjs';

const CONNECTIONS = 50;

/** GET /lora/status on 50 connections of one replica, beside a bare handler that answers with the same bytes. */
export async function* status(stage, { quick }) {
  const [rounds, durationMs] = quick ? [2, 500] : [7, 1500];
  const replica = await stage.replica('young');
  const bare = await stage.bare();
  await makeFleet(replica.port, 'read', 3);
  const path = '/lora/status?fleet=read';
  const { text } = await call(replica.port, { path });
  await bare.answerWith(text);
  const get = (port, where) => (ms) =>
    stage.load({
      kind: 'http',
      ports: [port],
      clients: CONNECTIONS,
      requests: [{ path: where }],
      durationMs: ms,
      expect: { text },
    });
  const floor = get(bare.port, '/bare/read');
  const linearizable = get(replica.port, path);
  const eventual = get(replica.port, `${path}&consistency=eventual`);
  for (const each of [floor, linearizable, eventual]) await each(quick ? 400 : 1500);
  const figures = await inTurn(rounds, {
    floor: () => floor(durationMs),
    linearizable: () => linearizable(durationMs),
    eventual: () => eventual(durationMs),
  });
  await Promise.all([replica.stop(), bare.stop()]);
  refuseFaults('status', figures);
  const row = (name, least) =>
    compare({
      row: `GET /lora/status, ${name}, ${CONNECTIONS} connections`,
      unit: '/s',
      pick: ({ perSecond }) => perSecond,
      subject: figures[name],
      floor: figures.floor,
      bar: { least },
    });
  yield row('linearizable', 0.85);
  yield row('eventual', 0.95);
}

/** From a kill's being sent to one replica until another one shows it. */
export async function* spread(stage, { quick }) {
  const count = quick ? 20 : 100;
  const [from, to] = await Promise.all([stage.replica('young'), stage.replica('young')]);
  await makeFleet(from.port, 'seen', 3);
  for (const [name, query] of [
    ['eventual', '&consistency=eventual'],
    ['linearizable', ''],
  ]) {
    const job = {
      kind: 'spread',
      from: from.port,
      to: to.port,
      fleet: 'seen',
      read: `/lora/status?fleet=seen${query}`,
    };
    await stage.load({ ...job, count: 10 });
    const figure = await stage.load({ ...job, count });
    refuseFaults('spread', { figure });
    for (const percent of ['p50', 'p99']) {
      yield {
        row: `kill sent -> seen by ${name} reads of another replica, ${percent}`,
        unit: 'ms',
        measured: figure[percent],
        note: `answered: ${figure.acknowledged[percent].toFixed(2)} ms`,
      };
    }
  }
  await Promise.all([from.stop(), to.stop()]);
}
