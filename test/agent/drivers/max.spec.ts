import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { Driver } from '../../../src/agent/driver.js';
import { max } from '../../../src/agent/drivers/max.js';
import { errorOf, handsOn, patient, settingsFor } from '../../support/engines/driver-settings.js';
import { MaxEngine } from '../../support/engines/max.js';
import { eventually } from '../../support/http.js';

const LOAD = '/v1/load_lora_adapter';

let engine: MaxEngine;
let driver: Driver;

beforeEach(async () => {
  engine = await new MaxEngine().start();
  driver = max(settingsFor(engine.url));
});
afterEach(() => engine.stop());

const { list, load, unload } = handsOn(() => ({ driver, engine }));

describe('MAX Serve, as it should be', () => {
  it('loads a version, lists it beside its base model, and unloads it', async () => {
    await load('v1.2');
    expect(await driver.list(patient())).toEqual({ adapters: ['v1.2'], baseModel: 'org/base-model' });
    await unload('v1.2');
    expect(engine.adapters).toEqual([]);
    expect(await driver.list(patient())).toEqual({ adapters: [], baseModel: 'org/base-model' });
  });

  it('shows names only, and says that it does not see paths', async () => {
    engine.loaded.set('v1.2', '/other/path');
    expect(await list()).toEqual(['v1.2']);
    expect(driver.capabilities.observesPath).toBe(false);
  });

  it('takes it for done when there is no such adapter to unload', async () => {
    await unload('v9');
    expect(engine.calls).toHaveLength(1);
  });

  it('takes it for done when the adapter has been loaded meanwhile', async () => {
    engine.next('/v1/models', { acts: false, answer: { status: 200, body: { data: [] } } });
    engine.loaded.set('v1.2', '/adapters/v1.2');
    await load('v1.2');
    expect(await engine.called(LOAD)).toHaveLength(1);
  });
});

describe('MAX Serve that refuses', () => {
  it('says that a name is taken by another path', async () => {
    engine.next('/v1/models', { acts: false, answer: { status: 200, body: { data: [] } } });
    engine.loaded.set('v1.2', '/other/path');
    const message = 'load v1.2: HTTP 409: v1.2 is loaded from /other/path';
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'refused', message });
  });

  it('says that a path is bad', async () => {
    engine.missingPaths.add('/adapters/v1.2');
    const message = 'load v1.2: HTTP 400: LoRA path does not exist: /adapters/v1.2';
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'refused', message });
  });

  it.each(['LoRA off', 'no routes'])('cannot: %s', async (reason) => {
    if (reason === 'LoRA off') engine.loraEnabled = false;
    else engine.hasRoutes = false;
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'unsupported' });
    expect(await errorOf(unload('v1.2'))).toMatchObject({ kind: 'unsupported' });
    expect(await list()).toEqual([]);
  });

  it("is never asked to load over the base model's name", async () => {
    engine.baseModel = 'v1.2';
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'refused' });
    expect(engine.calls.map(({ path }) => path)).toEqual(['/v1/models']);
  });
});

describe('MAX Serve that changes by itself', () => {
  it('has forgotten all but what it was started with after a restart', async () => {
    await load('v1.2');
    engine.startsWith = new Map([['v1.0', '/adapters/v1.0']]);
    await engine.stop();
    expect(await errorOf(list())).toMatchObject({ kind: 'unreachable' });
    await engine.start();
    expect(await list()).toEqual(['v1.0']);
  });

  it.each([true, false])('answers 500 to an unload, and the list tells (done: %s)', async (acts) => {
    await load('v1.2');
    engine.next('/v1/unload_lora_adapter', { acts, answer: { status: 500, body: { detail: 'x' } } });
    expect(await errorOf(unload('v1.2'))).toMatchObject({ kind: 'refused' });
    expect(await list()).toEqual(acts ? [] : ['v1.2']);
  });

  it('finishes a slow load that nobody waits for any more', async () => {
    const release = engine.holdLoads();
    const end = new AbortController();
    const call = errorOf(load('v1.2', end.signal));
    await engine.called(LOAD);
    end.abort(new Error('ended by: killed'));
    expect(await call).toMatchObject({ kind: 'unreachable' });
    release();
    await eventually(async () => (await list()).includes('v1.2'));
  });
});
