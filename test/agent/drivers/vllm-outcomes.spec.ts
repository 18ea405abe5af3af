import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { Driver } from '../../../src/agent/driver.js';
import { vllm } from '../../../src/agent/drivers/vllm.js';
import { type Choices, errorOf, handsOn, settingsFor } from '../../support/engines/driver-settings.js';
import { VllmEngine } from '../../support/engines/vllm.js';
import { eventually } from '../../support/http.js';

const LOAD = '/v1/load_lora_adapter';
const UNLOAD = '/v1/unload_lora_adapter';

let engine: VllmEngine;
let driver: Driver;
const driverWith = (choices: Choices = {}) => vllm(settingsFor(engine.url, choices));

beforeEach(async () => {
  engine = await new VllmEngine().start();
  driver = driverWith();
});
afterEach(() => engine.stop());

const { list, load, unload, sent } = handsOn(() => ({ driver, engine }));

describe('acts on vLLM whose outcome is not what the answer says', () => {
  const broken = { status: 500, body: { error: { message: 'engine', type: 'InternalServerError' } } };

  it.each([
    [true, []],
    [false, ['v1.2']],
  ])('an unload that answers 500 is refused, and the list tells (done: %s)', async (acts, left) => {
    await load('v1.2');
    engine.next(UNLOAD, { acts, answer: broken });
    expect(await errorOf(unload('v1.2'))).toMatchObject({ kind: 'refused' });
    expect(await list()).toEqual(left);
  });

  it('an unload that answers 200 is no proof either', async () => {
    await load('v1.2');
    engine.next(UNLOAD, { acts: false, answer: { status: 200, body: 'Success' } });
    await unload('v1.2');
    expect(await list()).toEqual(['v1.2']);
  });

  it.each(['cut', 'silence'] as const)('a load whose answer is lost (%s) is unknown', async (answer) => {
    engine.next(LOAD, { acts: true, answer });
    const end = new AbortController();
    const call = errorOf(load('v1.2', end.signal));
    await engine.called(LOAD);
    if (answer === 'silence') end.abort(new Error('time is up'));
    expect(await call).toMatchObject({ kind: 'unreachable' });
    expect(await list()).toEqual(['v1.2']);
  });

  it('a slow load that was given up arrives later, and can be unloaded before it is listed', async () => {
    const release = engine.holdLoads();
    const end = new AbortController();
    const call = errorOf(load('v1.2', end.signal));
    await engine.called(LOAD);
    end.abort(new Error('ended by: killed'));
    expect(await call).toMatchObject({ kind: 'unreachable' });
    // Too early: it is not loaded yet.
    await unload('v1.2');
    expect(sent(UNLOAD)).toEqual([{ lora_name: 'v1.2' }]);
    release();
    await eventually(async () => (await list()).includes('v1.2'));
    await unload('v1.2');
    expect(await list()).toEqual([]);
  });

  it('a load given up before it was sent is not sent', async () => {
    expect(await errorOf(load('v1.2', AbortSignal.abort(new Error('killed'))))).toMatchObject({
      kind: 'unreachable',
    });
    expect(engine.calls).toEqual([]);
  });
});

describe('vLLM that changes by itself', () => {
  it('has forgotten everything after a restart', async () => {
    await load('v1.2');
    await engine.stop();
    expect(await errorOf(list())).toMatchObject({ kind: 'unreachable' });
    expect(await errorOf(unload('v1.2'))).toMatchObject({ kind: 'unreachable' });
    await engine.start();
    expect(await list()).toEqual([]);
  });

  it('has loaded again by itself what it was started with', async () => {
    engine.startsWith = new Map([['v1.0', '/adapters/v1.0']]);
    await engine.restart();
    expect(await list()).toEqual(['v1.0']);
    await unload('v1.0');
    await engine.restart();
    expect(await list()).toEqual(['v1.0']);
  });

  it('with a resolver, lists again what a request has named, and says that a kill does not stick', async () => {
    engine.resolver = new Map([['v1.2', '/cache/v1.2']]);
    await load('v1.2');
    await unload('v1.2');
    expect(engine.infer('v1.2')).toBe(200);
    const adapters = await list();
    expect(adapters).toEqual(['v1.2 (from /cache/v1.2)']);
    for (const adapter of adapters) await unload(adapter);
    expect(engine.adapters).toEqual([]);
    expect(driver.capabilities.killIsSticky).toBe(false);
    expect(driverWith({ gatewayStripsLora: true }).capabilities.killIsSticky).toBe(true);
  });

  it('is not taken for empty when its list cannot be read', async () => {
    for (const body of [{ data: null }, { data: [{ root: '/x' }] }, 'starting']) {
      engine.next('/v1/models', { acts: false, answer: { status: 200, body } });
      expect(await errorOf(list())).toMatchObject({ kind: 'refused' });
    }
  });
});
