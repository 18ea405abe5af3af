import { afterEach, describe, expect, it } from '@jest/globals';

import type { Driver, DriverSettings } from '../../src/agent/driver.js';
import { drivers } from '../../src/agent/drivers/drivers.js';
import { settingsFor } from '../support/engines/driver-settings.js';
import { LlamacppEngine } from '../support/engines/llamacpp.js';
import { MaxEngine } from '../support/engines/max.js';
import { ReloadSidecar } from '../support/engines/reload.js';
import { SglangEngine } from '../support/engines/sglang.js';
import type { TestEngine } from '../support/engines/test-engine.js';
import { VllmEngine } from '../support/engines/vllm.js';
import { eventually } from '../support/http.js';
import { FakeControlPlane, state } from './fake-control-plane.js';
import { cleanUp, later, startAgent } from './running-agent.js';

afterEach(cleanUp);

const killed = state(2, { enabled: false });

/** An agent with a driver of the real kind, in front of an engine that speaks its protocol. */
async function start<E extends TestEngine>(
  kind: keyof typeof drivers,
  engine: E,
  choices: (started: E) => Parameters<typeof settingsFor>[1] = () => ({}),
) {
  await engine.start();
  later(() => engine.stop());
  const plane = await FakeControlPlane.start();
  later(() => plane.down());
  const make: (settings: DriverSettings) => Driver = drivers[kind];
  const driver = make(settingsFor(engine.url, choices(engine)));
  const running = await startAgent({ planes: [plane], engine: driver, settings: { unloadMs: 200 } });
  return { engine, plane, running };
}

const serves = (engine: TestEngine, ...names: string[]): Promise<boolean> =>
  eventually(() => engine.adapters.join() === names.join());

/** The control plane has heard that this generation was reached. */
const reached = (plane: FakeControlPlane, generation: number, as = 'converged'): Promise<boolean> =>
  eventually(() => plane.last?.observed_generation === generation && plane.last.state === as);

const streaming = (plane: FakeControlPlane): Promise<boolean> => eventually(() => plane.streams.size > 0);

describe.each<[keyof typeof drivers, () => TestEngine, as: string]>([
  ['vllm', () => new VllmEngine(), 'converged'],
  // A request that names the adapter brings it back there, unless a gateway takes the name out.
  ['sglang', () => new SglangEngine(), 'advisory'],
  ['max', () => new MaxEngine(), 'converged'],
])('with %s', (kind, newEngine, as) => {
  it('follows deploys and a kill', async () => {
    const { engine, plane } = await start(kind, newEngine());
    await reached(plane, 1, as);
    await serves(engine, 'v1');
    await streaming(plane);
    plane.tell(killed);
    await reached(plane, 2, as);
    await serves(engine);
    plane.tell(state(3, { active_adapter_version: 'v2' }));
    await reached(plane, 3, as);
    await serves(engine, 'v2');
  });

  it('unloads what a slow load has brought after the kill', async () => {
    const engine = newEngine();
    const release = engine.holdLoads();
    const { plane } = await start(kind, engine);
    await eventually(() => engine.heldLoads > 0);
    await streaming(plane);
    plane.tell(killed);
    await reached(plane, 2, 'pending');
    release();
    await engine.called(kind === 'sglang' ? '/load_lora_adapter' : '/v1/load_lora_adapter');
    await eventually(() => engine.heldLoads === 0);
    await serves(engine);
    await reached(plane, 2, as);
  });

  it('loads again what a restart has forgotten, and nothing after a kill meanwhile', async () => {
    const { engine, plane } = await start(kind, newEngine());
    await reached(plane, 1, as);
    await engine.restart();
    await serves(engine, 'v1');
    await engine.stop();
    await eventually(() => plane.last?.state === 'unreachable');
    await streaming(plane);
    plane.tell(killed);
    await engine.start();
    await reached(plane, 2, as);
    await serves(engine);
  });
});

it('an engine that starts with an adapter, or loads it for a request, is put right', async () => {
  const engine = new VllmEngine();
  engine.startsWith = new Map([['old', '/adapters/old']]);
  engine.resolver = new Map([['v1', '/adapters/v1']]);
  const { plane } = await start('vllm', engine);
  await reached(plane, 1);
  await serves(engine, 'v1');
  await streaming(plane);
  plane.tell(killed);
  await reached(plane, 2);
  expect(engine.infer('v1')).toBe(200);
  await serves(engine);
});

it('a version that was loaded from elsewhere is not that version', async () => {
  const engine = new VllmEngine();
  engine.startsWith = new Map([['v1', '/somewhere/else']]);
  const { plane } = await start('vllm', engine);
  await reached(plane, 1);
  expect([...engine.loaded]).toEqual([['v1', '/adapters/v1']]);
});

it('an engine that cannot change its adapters while it runs is unsupported', async () => {
  const engine = new VllmEngine();
  engine.runtimeUpdating = false;
  const { plane } = await start('vllm', engine);
  await eventually(() => plane.last?.state === 'unsupported');
  expect(plane.last?.last_error).toMatch('VLLM_ALLOW_RUNTIME_LORA_UPDATING');
});

it('an unload that waits for a request under way holds up neither the others nor a kill', async () => {
  const engine = new SglangEngine();
  engine.startsWith = new Map([
    ['busy', '/adapters/busy'],
    ['idle', '/adapters/idle'],
  ]);
  const { plane } = await start('sglang', engine, (started) => {
    started.keepBusy('busy');
    return {};
  });
  await serves(engine, 'v1');
  await streaming(plane);
  plane.tell(killed);
  await reached(plane, 2, 'advisory');
  await serves(engine);
});

it('llama.cpp sets scales, and a kill there is as good as its gateway', async () => {
  for (const gatewayStripsLora of [false, true]) {
    const engine = new LlamacppEngine();
    engine.paths = ['/adapters/v0', '/adapters/v1'];
    const { plane } = await start('llamacpp', engine, () => ({ gatewayStripsLora }));
    await reached(plane, 1, gatewayStripsLora ? 'converged' : 'advisory');
    await streaming(plane);
    plane.tell(killed);
    await reached(plane, 2, gatewayStripsLora ? 'converged' : 'advisory');
    expect(engine.scales).toEqual([0, 0]);
    plane.tell(state(3, { active_adapter_version: 'v7' }));
    await reached(plane, 2 + 1, 'unsupported');
    expect(plane.last?.last_error).toMatch('needs-restart');
  }
});

it('a sidecar goes from version to version by reloads, and a kill there is its hook', async () => {
  const engine = new ReloadSidecar();
  const { plane } = await start('reload', engine, ({ hook }) => ({ disableHook: hook }));
  await reached(plane, 1, 'advisory');
  await streaming(plane);
  plane.tell(state(2, { active_adapter_version: 'v2' }));
  await reached(plane, 2, 'advisory');
  expect(engine.active?.adapter_version).toBe('v2');
  expect(engine.enabled).toBe(true);
  plane.tell(state(3, { enabled: false }));
  await reached(plane, 3, 'advisory');
  expect(engine.enabled).toBe(false);
  plane.tell(state(4));
  await reached(plane, 4, 'advisory');
  expect([engine.active?.adapter_version, engine.enabled]).toEqual(['v1', true]);
});
