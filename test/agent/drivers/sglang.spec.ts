import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { Driver } from '../../../src/agent/driver.js';
import { sglang } from '../../../src/agent/drivers/sglang.js';
import {
  type Choices,
  errorOf,
  handsOn,
  patient,
  settingsFor,
} from '../../support/engines/driver-settings.js';
import { SglangEngine } from '../../support/engines/sglang.js';
import { eventually } from '../../support/http.js';

const LOAD = '/load_lora_adapter';
const UNLOAD = '/unload_lora_adapter';

let engine: SglangEngine;
let driver: Driver;
const driverWith = (choices: Choices = {}) => sglang(settingsFor(engine.url, choices));

beforeEach(async () => {
  engine = await new SglangEngine().start();
  driver = driverWith();
});
afterEach(() => engine.stop());

const { list, load, unload, sent } = handsOn(() => ({ driver, engine }));

describe('SGLang, as it should be', () => {
  it('loads a version, lists it, and unloads it', async () => {
    driver = driverWith({ name: 'lora-{version}' });
    await load('v1.2');
    expect(sent(LOAD)).toEqual([{ lora_name: 'lora-v1.2', lora_path: '/adapters/v1.2' }]);
    expect(await driver.list(patient())).toEqual({ adapters: ['v1.2'], baseModel: 'base-model' });
    await unload('v1.2');
    expect(engine.adapters).toEqual([]);
  });

  it('takes it for done when the adapter has been loaded meanwhile', async () => {
    engine.next('/v1/models', { acts: false, answer: { status: 200, body: { data: [] } } });
    engine.loaded.set('v1.2', '/adapters/v1.2');
    await load('v1.2');
    expect(sent(LOAD)).toHaveLength(1);
  });

  it('takes it for done when there is no such adapter to unload', async () => {
    await unload('v9');
    expect(sent(UNLOAD)).toHaveLength(1);
  });

  it('shows an adapter from another path as itself, and unloads it', async () => {
    engine.loaded.set('v1.2', '/other/path');
    expect(await list()).toEqual(['v1.2 (from /other/path)']);
    await unload('v1.2 (from /other/path)');
    expect(engine.adapters).toEqual([]);
  });
});

describe('SGLang that refuses', () => {
  it('says why', async () => {
    engine.missingPaths.add('/adapters/v1.2');
    const error = await errorOf(load('v1.2'));
    expect(error.kind).toBe('refused');
    expect(error.message).toContain('does not appear to have adapter_config.json');
  });

  it('also when it says so with 200', async () => {
    const body = { success: false, error_message: 'no room', loaded_adapters: {} };
    engine.next(LOAD, { acts: false, answer: { status: 200, body } });
    const message = 'load v1.2: HTTP 200: no room';
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'refused', message });
  });

  it('fails on its assertion for data parallel', async () => {
    engine.asserts = true;
    const error = await errorOf(load('v1.2'));
    expect(error).toMatchObject({ kind: 'refused', message: 'load v1.2: HTTP 500: Internal Server Error' });
  });

  it('cannot without LoRA', async () => {
    engine.loraEnabled = false;
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'unsupported' });
    expect(await errorOf(unload('v1.2'))).toMatchObject({ kind: 'unsupported' });
    engine.next(LOAD, { acts: false, answer: { status: 404, body: { detail: 'Not Found' } } });
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'unsupported' });
  });

  it("takes the admin's key for loading and unloading", async () => {
    engine.adminKey = 'admin';
    driver = driverWith({ engineKey: () => 'other' });
    const message = 'load v1.2: HTTP 401: Unauthorized';
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'refused', message });
    driver = driverWith({ engineKey: () => 'admin' });
    await load('v1.2');
    expect(await list()).toEqual(['v1.2']);
    await unload('v1.2');
    expect(engine.adapters).toEqual([]);
  });

  it("does not list for the admin's key when requests have a key of their own", async () => {
    engine.adminKey = 'admin';
    engine.key = 'user';
    driver = driverWith({ engineKey: () => 'admin' });
    expect(await errorOf(list())).toMatchObject({ kind: 'refused', message: 'list: HTTP 401: Unauthorized' });
    // A kill needs no list.
    await unload('v1.2');
  });
});

describe('an unload of SGLang that waits for a request under way', () => {
  it('is ended by its signal, unknown, and the list tells', async () => {
    await load('v1.2');
    engine.keepBusy('v1.2');
    const end = new AbortController();
    const call = errorOf(unload('v1.2', end.signal));
    await engine.called(UNLOAD);
    end.abort(new Error('no answer within 10 s'));
    const message = `POST ${UNLOAD}: no answer within 10 s`;
    expect(await call).toMatchObject({ kind: 'unreachable', message });
    expect(await list()).toEqual([]);
  });

  it('ends with the request', async () => {
    await load('v1.2');
    const finish = engine.keepBusy('v1.2');
    const call = unload('v1.2');
    await engine.called(UNLOAD);
    finish();
    await call;
  });

  it('ends with the engine', async () => {
    await load('v1.2');
    engine.keepBusy('v1.2');
    const call = errorOf(unload('v1.2'));
    await engine.called(UNLOAD);
    await engine.restart();
    expect(await call).toMatchObject({ kind: 'unreachable' });
    expect(await list()).toEqual([]);
  });
});

describe('SGLang that changes by itself', () => {
  it('loads again what a request names, so that a kill is advisory unless a gateway strips that', async () => {
    await load('v1.2');
    await unload('v1.2');
    expect(engine.infer('v1.2')).toBe(200);
    expect(await list()).toEqual(['v1.2']);
    await unload('v1.2');
    expect(engine.adapters).toEqual([]);
    expect([driver.advisory, driver.capabilities.killIsSticky]).toEqual([true, false]);
    const guarded = driverWith({ gatewayStripsLora: true });
    expect([guarded.advisory, guarded.capabilities.killIsSticky]).toEqual([false, true]);
  });

  it('drops an adapter without being asked, which can be loaded again', async () => {
    await load('v1.2');
    engine.evict('v1.2');
    expect(await list()).toEqual([]);
    await load('v1.2');
    expect(await list()).toEqual(['v1.2']);
  });

  it('has forgotten all but what it was started with after a restart', async () => {
    await load('v1.2');
    engine.startsWith = new Map([['v1.0', '/adapters/v1.0']]);
    await engine.stop();
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'unreachable' });
    await engine.start();
    expect(await list()).toEqual(['v1.0']);
    expect(engine.infer('v1.2')).toBe(400);
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
