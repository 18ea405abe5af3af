import { randomUUID } from 'node:crypto';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { MemoryEngine } from '../agent/memory-engine.js';
import { cleanUp, type RunningAgent, serves, startAgent } from '../agent/running-agent.js';
import { startApp, type TestApp } from '../support/app.js';
import { createDatabase } from '../support/database.js';
import { eventually } from '../support/http.js';

const TTL_SECONDS = 3;

let service: TestApp;
let fleet: string;

beforeAll(async () => {
  service = await startApp({ ENGINE_TTL_SECONDS: String(TTL_SECONDS) });
});
afterAll(() => service.close());
beforeEach(async () => {
  fleet = `f-${randomUUID().slice(0, 8)}`;
  await service.api.send('PUT', `/fleets/${fleet}`, { body: { adapter_version: 'v1' } });
});
afterEach(cleanUp);

/** A real agent, that reports to the real service of an engine in memory. */
async function beside(engine: MemoryEngine): Promise<RunningAgent> {
  const settings = { fleet, id: `${fleet}-e`, heartbeatMs: 100 };
  return startAgent({ planes: [service.api.url], engine, settings });
}

/** What these tests look at of an engine, a convergence or the answer to a report. */
interface Told {
  readonly converged: boolean | null;
  readonly acknowledged: number;
  readonly observed_adapters: readonly string[];
  readonly heard_at: string;
  readonly conflict: string | null;
  readonly pending: readonly string[];
}

const get = async (path: string) => (await service.api.get(path)).body as unknown as Told;
const convergence = () => get(`/lora/convergence?fleet=${fleet}`);
const row = () => get(`/engines/${fleet}-e`);
const arrived = () => eventually(async () => (await convergence()).converged === true);
const kill = () => service.api.post(`/lora/disable?fleet=${fleet}`);
const acknowledged = async () => {
  const sql = 'select from kill_acknowledgements where fleet = $1';
  return (await service.database.query(sql, [fleet])).length;
};

const CONFLICT = 'another agent reports under this id: kills are not proven';

describe('two agents under one id', () => {
  it('are a conflict, which both say, and no kill is proven until one stops', async () => {
    const [engine, copied] = [new MemoryEngine(), new MemoryEngine()];
    const one = await beside(engine);
    await arrived();
    const other = await beside(copied);
    await eventually(() => one.said(CONFLICT).length > 0 && other.said(CONFLICT).length > 0);
    for (const { api } of [one, other])
      expect((await api.get('/health')).body).toMatchObject({ state: 'conflict', engine_reachable: true });
    const instances = [one, other].map(({ agent }) => agent.instance).sort();
    expect(await row()).toMatchObject({
      state: 'conflict',
      last_error: `2 agents report under this id (instances ${instances.join(', ')}): give each engine an id of its own`,
    });
    expect(await convergence()).toMatchObject({ converged: false, pending: [`${fleet}-e`] });

    await kill();
    for (const [running, each] of [[one, engine] as const, [other, copied] as const])
      await serves(running, each);
    await eventually(async () => (await row()).observed_adapters.length === 0);
    expect(await convergence()).toMatchObject({ converged: false, acknowledged: 0 });
    expect(await acknowledged()).toBe(0);

    // It says goodbye; the engine of the other one is not taken off the register with it.
    await other.stop();
    await arrived();
    expect(await row()).toMatchObject({ state: 'converged', last_error: null });
    expect(await acknowledged()).toBe(1);
    await eventually(() => one.said('this id has one agent again').length === 1);
    expect(one.said(CONFLICT)).toHaveLength(1);
    expect((await one.api.get('/health')).body).toMatchObject({ state: 'converged', last_error: null });
    const rows = 'select removed_at from engine_registrations where fleet = $1';
    expect(await service.database.query(rows, [fleet])).toEqual([{ removed_at: null }]);
  });

  it('are none any more when one of them has died without a word', async () => {
    const report = (instance_id: string) => ({
      ...{ observed_generation: null, log_id: null, observed_adapters: [], state: 'pending', instance_id },
    });
    const path = `/engines/${fleet}-e?fleet=${fleet}`;
    const put = async (instance: string) => {
      const { body } = await service.api.send('PUT', path, { body: report(instance) });
      return (body as unknown as Told).conflict;
    };
    const [one, other] = [randomUUID(), randomUUID()];
    expect(await put(one)).toBeNull();
    // As after a restart: only what the former one says now tells that it lives.
    expect(await put(other)).toBeNull();
    expect(await put(one)).toContain(other);
    expect(await row()).toMatchObject({ state: 'conflict' });
    await eventually(async () => (await put(other)) === null);
    expect(await row()).toMatchObject({ state: 'pending', last_error: null });
  });

  it('are none when the second is the first one, restarted', async () => {
    const engine = new MemoryEngine();
    for (let starts = 0; starts < 3; starts++) {
      const running = await beside(engine);
      await serves(running, engine, 'v1');
      await arrived();
      const heard = (await row()).heard_at;
      await eventually(async () => (await row()).heard_at !== heard);
      expect(running.said(CONFLICT)).toEqual([]);
      // Its engine serves an adapter: the row stays.
      await running.stop();
    }
    expect(await row()).toMatchObject({ state: 'converged' });
  });
});

describe('an agent that stops in good order', () => {
  it('takes its engine off the register when it serves the base model', async () => {
    const engine = new MemoryEngine();
    const running = await beside(engine);
    await arrived();
    await kill();
    await eventually(async () => (await convergence()).acknowledged === 1);
    await running.stop();
    expect((await service.api.get(`/engines/${fleet}-e`)).status).toBe(404);
  });
});

it('a log with another log_id is followed, although its generations are lower', async () => {
  const former = await startApp();
  for (const version of ['v1', 'v2', 'v3'])
    await former.api.post('/lora/deploy', { adapter_version: version });
  const engine = new MemoryEngine();
  const settings = { heartbeatMs: 100 };
  const running = await startAgent({ planes: [former.api.url], engine, settings });
  await serves(running, engine, 'v3');
  const { port } = new URL(former.api.url);
  await former.close();
  // A clone of the template has its log_id.
  const anew = await createDatabase();
  await anew.query('update log_head set log_id = gen_random_uuid()');
  const next = await startApp({ PORT: port }, anew);
  try {
    const there = async () => (await next.api.get('/lora/convergence')).body as unknown as Told;
    // Made anew, it starts enabled: that alone says nothing of what operators want.
    await eventually(async () => (await there()).pending.length === 1);
    await serves(running, engine, 'v3');
    await next.api.post('/lora/disable');
    await eventually(async () => (await there()).converged === true);
    await serves(running, engine);
    expect(await there()).toMatchObject({ generation: 2, engines: 1 });
    const { log_id } = (await next.api.get('/lora/status')).body;
    const rows = await next.database.query('select log_id, generation::int from kill_acknowledgements');
    expect(rows).toEqual([{ log_id, generation: 2 }]);
  } finally {
    await next.close();
    await running.stop();
    await anew.drop();
  }
});
