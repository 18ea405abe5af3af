import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { Driver } from '../../../src/agent/driver.js';
import { vllm } from '../../../src/agent/drivers/vllm.js';
import {
  type Choices,
  errorOf,
  handsOn,
  patient,
  settingsFor,
} from '../../support/engines/driver-settings.js';
import { VllmEngine } from '../../support/engines/vllm.js';

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

describe('vLLM, as it should be', () => {
  it('lists nothing but its base model at first', async () => {
    expect(await driver.list(patient())).toEqual({ adapters: [], baseModel: 'base-model' });
  });

  it('loads a version under its one name, from its path', async () => {
    driver = driverWith({ name: 'lora-{version}', path: '/disk/{version}/final' });
    await load('v1.2');
    expect(sent(LOAD)).toEqual([{ lora_name: 'lora-v1.2', lora_path: '/disk/v1.2/final' }]);
    expect(await list()).toEqual(['v1.2']);
  });

  it('unloads it, without asking anything first', async () => {
    await load('v1.2');
    engine.calls.length = 0;
    await unload('v1.2');
    expect(engine.calls.map(({ path }) => path)).toEqual([UNLOAD]);
    expect(engine.adapters).toEqual([]);
  });

  it('leaves a version that is loaded as it is', async () => {
    await load('v1.2');
    await load('v1.2');
    expect(sent(LOAD)).toHaveLength(1);
  });

  it("never names an adapter but to load and unload it, which a resolver's plugin would take for a wish", async () => {
    await load('v1.2');
    await unload('v1.2');
    await list();
    expect(new Set(engine.calls.map(({ path }) => path))).toEqual(new Set(['/v1/models', LOAD, UNLOAD]));
  });

  it('carries the key', async () => {
    engine.key = 'secret';
    expect(await errorOf(list())).toMatchObject({ kind: 'refused', message: 'list: HTTP 401: Unauthorized' });
    driver = driverWith({ engineKey: () => 'secret' });
    await load('v1.2');
    await unload('v1.2');
    expect(await list()).toEqual([]);
  });
});

describe.each(['wrapped', 'flat'] as const)('vLLM with %s errors', (errors) => {
  beforeEach(() => {
    engine.errors = errors;
  });

  it('takes it for done when the adapter has been loaded meanwhile', async () => {
    const before = { data: [{ id: 'base-model', parent: null }] };
    engine.next('/v1/models', { acts: false, answer: { status: 200, body: before } });
    engine.loaded.set('v1.2', '/adapters/v1.2');
    await load('v1.2');
    expect(sent(LOAD)).toHaveLength(1);
  });

  it.each([404, 400] as const)(
    'takes it for done when an unknown name is refused with %d',
    async (status) => {
      engine.unknownName = status;
      await unload('v9');
      expect(sent(UNLOAD)).toEqual([{ lora_name: 'v9' }]);
    },
  );

  it('says that a path was not found', async () => {
    engine.missingPaths.add('/adapters/v1.2');
    const message = 'load v1.2: HTTP 404: No adapter found for /adapters/v1.2';
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'refused', message });
  });

  it.each([400, 500] as const)('says that an adapter was refused with %d', async (status) => {
    engine.badAdapter = status;
    engine.badPaths.add('/adapters/v1.2');
    const message = `load v1.2: HTTP ${status}: rank too high`;
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'refused', message });
    expect(await list()).toEqual([]);
  });
});

describe('vLLM without runtime updating', () => {
  beforeEach(() => {
    engine.startsWith = new Map([['v1.2', '/adapters/v1.2']]);
    engine.runtimeUpdating = false;
    return engine.restart();
  });

  it('can be listed, but neither load nor unload', async () => {
    expect(await list()).toEqual(['v1.2']);
    for (const error of [await errorOf(load('v1.3')), await errorOf(unload('v1.2'))]) {
      expect(error.kind).toBe('unsupported');
      expect(error.message).toContain('VLLM_ALLOW_RUNTIME_LORA_UPDATING=1');
    }
  });

  it('is told from an adapter that is not there also where a build words the 404 itself', async () => {
    const body = { error: { message: 'Not Found', type: 'Not Found', param: null, code: 404 } };
    engine.next(UNLOAD, { acts: false, answer: { status: 404, body } });
    expect(await errorOf(unload('v1.2'))).toMatchObject({ kind: 'unsupported' });
  });
});

describe('adapters in vLLM that are not what their name says', () => {
  it('shows one from another path as itself, loads nothing over it, and unloads it', async () => {
    engine.loaded.set('v1.2', '/other/path');
    expect(await list()).toEqual(['v1.2 (from /other/path)']);
    const message = 'v1.2 is loaded from /other/path';
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'refused', message });
    await unload('v1.2 (from /other/path)');
    expect(engine.adapters).toEqual([]);
    await load('v1.2');
    expect(await list()).toEqual(['v1.2']);
  });

  it('unloads what is not ours by its own name', async () => {
    driver = driverWith({ name: 'lora-{version}' });
    engine.loaded.set('org/other', '/other').set('v1.2', '/adapters/v1.2').set('lora-v1.2', '/adapters/v1.2');
    const adapters = await list();
    expect(adapters).toEqual(['org/other', 'v1.2 (not ours)', 'v1.2']);
    for (const adapter of adapters) await unload(adapter);
    expect(sent(UNLOAD)).toEqual([
      { lora_name: 'org/other' },
      { lora_name: 'v1.2' },
      { lora_name: 'lora-v1.2' },
    ]);
    expect(engine.adapters).toEqual([]);
  });

  it("never loads over the base model's name", async () => {
    engine.baseModel = 'v1.2';
    const message = 'v1.2 is the name of the base model';
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'refused', message });
    expect(sent(LOAD)).toEqual([]);
  });
});
