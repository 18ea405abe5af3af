import { call } from './client.mjs';
import { absolute, refuseFaults } from './measure.mjs';

const FLEET = 'obeying';
const AGENTS = 100;

/** How soon a kill is known to have arrived on a hundred engines, whose agents are spread over two replicas. */
export async function* arrival(stage, { quick }) {
  const [agents, kills] = quick ? [20, 10] : [AGENTS, 200];
  const replicas = await Promise.all([stage.replica('young'), stage.replica('young')]);
  try {
    const ports = replicas.map(({ port }) => port);
    await call(ports[0], { method: 'PUT', path: `/fleets/${FLEET}`, body: { adapter_version: 'v1.0' } });
    const job = (count) =>
      stage.load({ kind: 'acknowledgedKills', ports, count: agents, fleet: FLEET, kills: count });
    const warm = await job(5);
    const figure = await job(kills);
    refuseFaults('agents', { figures: [warm, figure] });
    const row = (percent, bar) =>
      absolute({
        row: `kill sent -> answered as acknowledged by ${agents} agents, ${percent}`,
        unit: 'ms',
        measured: figure[percent],
        bar,
        note: `of ${kills} kills`,
      });
    yield row('p50');
    yield row('p99', { most: 500 });
  } finally {
    await Promise.all(replicas.map(({ stop }) => stop()));
  }
}
