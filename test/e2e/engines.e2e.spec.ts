import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { startProcess } from '../agent/agent-process.js';
import { cleanUp } from '../agent/running-agent.js';
import { Random } from '../support/agreement-random.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { LlamacppEngine } from '../support/engines/llamacpp.js';
import { MaxEngine } from '../support/engines/max.js';
import { SglangEngine } from '../support/engines/sglang.js';
import type { Answer, TestEngine } from '../support/engines/test-engine.js';
import { VllmEngine } from '../support/engines/vllm.js';
import { type Api, eventually } from '../support/http.js';
import { type Replica, startReplica } from '../support/replica.js';

/** As long as the soak, when it is asked for. */
const SOAK_MS = Number(process.env.PROOF_SECONDS ?? 5) * 1000;

interface Convergence {
  readonly generation: number;
  readonly converged: boolean | null;
  readonly acknowledged: number;
  readonly engines: number;
  readonly pending: readonly string[];
  readonly unreachable: readonly string[];
}

let database: TestDatabase;
let replicas: Replica[];
const vllm = new VllmEngine();
const vllmToo = new VllmEngine();
const sglang = new SglangEngine();
const sglangToo = new SglangEngine();
const max = new MaxEngine();
const maxToo = new MaxEngine();
const llamacpp = new LlamacppEngine();
const llamacppToo = new LlamacppEngine();
const engines: Readonly<Record<string, TestEngine>> = {
  ...{ 'vllm-1': vllm, 'vllm-2': vllmToo, 'sglang-1': sglang, 'sglang-2': sglangToo },
  ...{ 'max-1': max, 'max-2': maxToo, 'llamacpp-1': llamacpp, 'llamacpp-2': llamacppToo },
};

beforeAll(async () => {
  database = await createDatabase();
  replicas = [await start(), await start()];
  await api().post('/lora/deploy', { adapter_version: 'v1' });
  for (const engine of [llamacpp, llamacppToo]) engine.paths = ['/adapters/v1', '/adapters/v2'];
  for (const engine of Object.values(engines)) await engine.start();
  const urls = replicas.map((replica) => replica.api.url);
  const entries = Object.entries(engines);
  await Promise.all(
    entries.map(([id, engine], nth) =>
      startProcess({
        ENGINE_ID: id,
        ENGINE_DRIVER: id.replace(/-\d$/, ''),
        ENGINE_URL: engine.url.href,
        // Half of them follow one replica, half the other.
        LORA_URL: (nth % 2 === 0 ? urls : [...urls].reverse()).join(),
        GATEWAY_STRIPS_LORA: 'true',
        RECONCILE_SECONDS: '1',
        UNLOAD_TIMEOUT_SECONDS: '3',
        LORA_OPERATION_TIMEOUT_SECONDS: '8',
      }),
    ),
  );
}, 120_000);

afterAll(async () => {
  await cleanUp();
  for (const engine of Object.values(engines)) await engine.stop();
  for (const replica of replicas) await replica.stop('SIGKILL');
  await database.drop();
});

afterEach(() => {
  for (const engine of Object.values(engines)) engine.letLoadsGo();
});

beforeEach(async () => {
  await api().post('/lora/enable', { adapter_version: 'v1' });
  await arrived();
}, 120_000);

const start = (): Promise<Replica> =>
  startReplica({ env: { DATABASE_URL: database.url, ENGINE_TTL_SECONDS: '600' } });
const api = (): Api => {
  const [first] = replicas;
  if (!first) throw new Error('There is no replica.');
  return first.api;
};

async function convergence(): Promise<Convergence> {
  return (await api().get('/lora/convergence')).body as unknown as Convergence;
}

async function arrived(): Promise<void> {
  await eventually(async () => {
    const { converged, engines: counted } = await convergence();
    return converged === true && counted === 8;
  });
}

async function kill(wait: number): Promise<{ status: number; convergence: Convergence }> {
  const { status, body } = await api().post('/lora/disable', {}, { prefer: `wait=${wait}` });
  expect(body).toMatchObject({ enabled: false, active_adapter_version: null });
  return { status, convergence: body.convergence as unknown as Convergence };
}

const acknowledgements = (generation: number): Promise<{ engine: string }[]> =>
  database.query('select engine from kill_acknowledgements where generation = $1', [generation]);

const served = (): readonly string[] => Object.values(engines).flatMap(({ adapters }) => [...adapters]);

describe('a kill with eight engines of four kinds', () => {
  it('has arrived when its answer says so: no engine lists an adapter', async () => {
    expect(served()).toHaveLength(8);
    const { status, convergence: found } = await kill(30);
    expect({ status, found }).toMatchObject({ status: 200, found: { converged: true, acknowledged: 8 } });
    expect(served()).toEqual([]);
    expect(await acknowledgements(found.generation)).toHaveLength(8);
  });

  it('ends a slow load, and what that brings later is unloaded', async () => {
    const letGo = vllm.holdLoads();
    await api().post('/lora/deploy', { adapter_version: 'v2' });
    await eventually(async () => vllm.heldLoads > 0 && (await convergence()).acknowledged === 7);
    expect(await kill(1)).toMatchObject({ status: 202, convergence: { converged: false } });
    // Nothing is served; but what the engine was asked for may still land, and nobody calls that arrived.
    await eventually(async () => (await convergence()).acknowledged === 7);
    expect(await convergence()).toMatchObject({ converged: false, pending: ['vllm-1'] });
    expect(served()).toEqual([]);
    const before = vllm.calls.length;
    letGo();
    // The engine has it now, although nobody waits for it any more.
    await eventually(() => vllm.calls.slice(before).some(({ path }) => path === '/v1/unload_lora_adapter'));
    await arrived();
    expect(served()).toEqual([]);
  });

  it('names the engine that is down, and arrives there when it is back', async () => {
    vllm.startsWith = new Map([['v1', '/adapters/v1']]);
    await vllm.stop();
    const answer = await kill(2);
    expect(answer).toMatchObject({ status: 202, convergence: { converged: false, acknowledged: 7 } });
    const { pending, unreachable } = answer.convergence;
    expect([...pending, ...unreachable]).toEqual(['vllm-1']);
    await vllm.start();
    expect(vllm.adapters).toEqual(['v1']);
    await arrived();
    vllm.startsWith = new Map();
    expect(served()).toEqual([]);
  });

  it('is repeated where an engine comes back with an adapter, or loads it again by itself', async () => {
    vllmToo.resolver = new Map([['v1', '/adapters/v1']]);
    await kill(30);
    vllm.startsWith = new Map([['v1', '/adapters/v1']]);
    await vllm.restart();
    vllmToo.infer('v1');
    expect(served()).toEqual(['v1', 'v1']);
    // Not later than at the second look.
    const looks = vllmToo.calls.length;
    await eventually(() => served().length === 0);
    const listed = vllmToo.calls.slice(looks).filter(({ path }) => path === '/v1/models');
    expect(listed.length).toBeLessThanOrEqual(3);
    await arrived();
    vllm.startsWith = new Map();
    vllmToo.resolver = undefined;
  });

  it('is not held up by an engine whose unload hangs', async () => {
    sglang.next('/unload_lora_adapter', { acts: false, answer: 'silence' });
    const { status, convergence: found } = await kill(1);
    expect({ status, found }).toMatchObject({
      status: 202,
      found: { acknowledged: 7, pending: ['sglang-1'] },
    });
    await arrived();
    expect(served()).toEqual([]);
  });

  it('is not called arrived where an unload failed and the list broke after it, and arrives when they work', async () => {
    const refused: Answer = { status: 500, body: { error: { message: 'no', type: 'InternalServerError' } } };
    const mendUnload = vllmToo.always('/v1/unload_lora_adapter', { acts: false, answer: refused });
    const { status, convergence: found } = await kill(1);
    expect({ status, found }).toMatchObject({ status: 202, found: { acknowledged: 7, pending: ['vllm-2'] } });
    for (const answer of [refused, 'cut', { status: 200, body: {} }] as const) {
      const mendList = vllmToo.always('/v1/models', { acts: false, answer });
      await asked('/v1/models');
      expect(await convergence()).toMatchObject({ converged: false, acknowledged: 7 });
      mendList();
    }
    // It sees again that the adapter is there, and goes on trying.
    await asked('/v1/unload_lora_adapter');
    expect(vllmToo.adapters).toEqual(['v1']);
    expect(await acknowledgements(found.generation)).not.toContainEqual({ engine: 'vllm-2' });
    mendUnload();
    await arrived();
    expect(served()).toEqual([]);
    expect(await acknowledgements(found.generation)).toContainEqual({ engine: 'vllm-2' });

    async function asked(path: string): Promise<void> {
      const before = vllmToo.calls.filter((call) => call.path === path).length;
      await vllmToo.called(path, before + 1);
    }
  });

  it('arrives although a replica dies in the middle of it', async () => {
    const [first, second] = replicas;
    if (!first || !second) throw new Error('There are two replicas.');
    const answer = second.api.post('/lora/disable', {}, { prefer: 'wait=60' });
    await eventually(async () => !(await first.api.get('/lora/status')).body.enabled);
    await first.stop('SIGKILL');
    replicas = [second, await start()];
    expect(await answer).toMatchObject({ status: 200, body: { convergence: { converged: true } } });
    expect(served()).toEqual([]);
  });

  it(
    'leaves no engine with an adapter, whatever was deployed, broken and killed before it',
    async () => {
      const seed = Number(process.env.ENGINES_SEED ?? Date.now() % 2 ** 31);
      const random = new Random(seed);
      console.log(`seed ${seed}`);
      let rounds = 0;
      const begin = performance.now();
      do {
        const undo: (() => void)[] = [];
        for (let left = 2 + random.below(6); left > 0; left--) {
          const end = await mischief(random);
          if (end) undo.push(end);
        }
        await api().post('/lora/disable');
        for (const end of undo) end();
        await arrived();
        expect({ seed, rounds, served: served() }).toEqual({ seed, rounds, served: [] });
        rounds++;
        await api().post('/lora/enable', { adapter_version: random.pick(['v1', 'v2']) });
      } while (performance.now() - begin < SOAK_MS);
      console.log(`${rounds} kills, seed ${seed}`);
    },
    SOAK_MS + 120_000,
  );
});

/** One thing that operators, engines or others do. @returns how to end it, where it lasts */
async function mischief(random: Random): Promise<(() => void) | undefined> {
  const version = random.pick(['v1', 'v2']);
  const acts: readonly (() => Promise<unknown>)[] = [
    () => api().post('/lora/deploy', { adapter_version: version }),
    () => api().post('/lora/enable', { adapter_version: version }),
    () => api().post('/lora/rollback'),
    () => api().post('/lora/disable'),
    () => random.pick([vllm, max, maxToo]).restart(),
    () => random.pick([sglang, llamacpp]).restart(),
    () => {
      sglangToo.next('/unload_lora_adapter', { acts: false, answer: 'cut' });
      return Promise.resolve();
    },
    () => {
      vllmToo.next('/v1/unload_lora_adapter', { acts: true, answer: 'cut' });
      return Promise.resolve();
    },
    () => Promise.resolve(vllmToo.loaded.set(version, `/adapters/${version}`)),
  ];
  if (random.chance(0.2)) return random.pick([vllm, vllmToo, max]).holdLoads();
  await random.pick(acts)();
  return undefined;
}
