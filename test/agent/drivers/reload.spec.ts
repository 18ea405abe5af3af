import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { Driver } from '../../../src/agent/driver.js';
import { reload } from '../../../src/agent/drivers/reload.js';
import {
  type Choices,
  errorOf,
  handsOn,
  patient,
  settingsFor,
} from '../../support/engines/driver-settings.js';
import { ReloadSidecar } from '../../support/engines/reload.js';
import { eventually } from '../../support/http.js';

const RELOAD = '/internal/lora/reload';
const STATE = '/internal/lora/state';
const HOOK = '/hooks/lora?from=agent';
const V12 = { adapter_path: '/adapters/v1.2', adapter_version: 'v1.2' };

let engine: ReloadSidecar;
let driver: Driver;
const driverWith = (choices: Choices = {}) => reload(settingsFor(engine.url, choices));

beforeEach(async () => {
  engine = await new ReloadSidecar().start();
  driver = driverWith({ disableHook: engine.hook });
});
afterEach(() => engine.stop());

const { list, load, unload, sent } = handsOn(() => ({ driver, engine }));

/** Sends a reload that the sidecar has got and that nobody waits for any more. @returns lets it go */
async function giveUpReload(version: string): Promise<() => void> {
  const release = engine.holdLoads();
  const end = new AbortController();
  const call = errorOf(load(version, end.signal));
  await eventually(() => engine.heldLoads > 0);
  end.abort(new Error('ended by: killed'));
  expect(await call).toMatchObject({ kind: 'unreachable' });
  return release;
}

describe('a reload sidecar', () => {
  it('loads a version in the place of the one before', async () => {
    await load('v1.1');
    await load('v1.2');
    expect(sent(RELOAD).at(-1)).toEqual(V12);
    expect(await driver.list(patient())).toEqual({ adapters: ['v1.2'], baseModel: null });
    expect(driver.loadReplaces).toBe(true);
  });

  it('lists nothing at first', async () => {
    expect(await list()).toEqual([]);
    engine.next(STATE, { acts: false, answer: { status: 200, body: { state: {} } } });
    expect(await list()).toEqual([]);
  });

  it('is not taken for empty when its state cannot be read', async () => {
    engine.next(STATE, { acts: false, answer: { status: 200, body: { status: 'ok' } } });
    expect(await errorOf(list())).toMatchObject({ kind: 'refused' });
    const body = { state: { active_adapter: { adapter_path: '/x' } } };
    engine.next(STATE, { acts: false, answer: { status: 200, body } });
    expect(await list()).toEqual(['an adapter without a version']);
  });

  it('says why it refuses', async () => {
    engine.missingPaths.add('/adapters/v1.2');
    engine.next(RELOAD, { acts: false, answer: { status: 422, body: { detail: 'rank' } } });
    const message = 'reload v1.2: HTTP 422: rank';
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'refused', message });
    expect((await errorOf(load('v1.2'))).message).toContain('no adapter at /adapters/v1.2');
  });

  it('gets the key, and the hook does not', async () => {
    engine.key = 'secret';
    driver = driverWith({ disableHook: engine.hook, engineKey: () => 'secret' });
    await load('v1.2');
    await list();
    await unload('v1.2');
    expect(engine.calls.map(({ key }) => key)).toEqual(['secret', 'secret', undefined]);
  });
});

describe('a kill on a reload sidecar without a hook', () => {
  it('cannot be done, and the driver says so', async () => {
    driver = driverWith();
    await load('v1.2');
    expect(await errorOf(unload('v1.2'))).toMatchObject({ kind: 'unsupported' });
    expect(await list()).toEqual(['v1.2']);
    expect(driver.advisory).toBe(true);
    expect(engine.adapters).toEqual(['v1.2']);
  });
});

describe('a kill on a reload sidecar with a hook', () => {
  it('calls it, and then nothing is listed, whatever the state says', async () => {
    await load('v1.2');
    await unload('v1.2');
    expect(sent(HOOK)).toEqual([{ enabled: false }]);
    expect(await list()).toEqual([]);
    expect(engine.active).toEqual(V12);
    // The hook said so; nobody has seen it.
    expect(driver.advisory).toBe(true);
  });

  it('also when nothing was listed or loaded before', async () => {
    engine.active = V12;
    await unload('v1.2');
    expect(await list()).toEqual([]);
  });

  it('ends with the next reload', async () => {
    await load('v1.2');
    await unload('v1.2');
    await load('v1.2');
    expect(await list()).toEqual(['v1.2']);
    expect(engine.adapters).toEqual(['v1.2']);
  });

  it('counts only when the hook has succeeded', async () => {
    await load('v1.2');
    for (const answer of ['cut', { status: 500, body: '' }] as const) {
      engine.next(HOOK, { acts: false, answer });
      await errorOf(unload('v1.2'));
      expect(await list()).toEqual(['v1.2']);
    }
    await unload('v1.2');
    expect(await list()).toEqual([]);
  });

  it('does not hide what somebody else has loaded since', async () => {
    await load('v1.1');
    await unload('v1.1');
    expect(await list()).toEqual([]);
    const former = engine.active;
    engine.active = V12;
    expect(await list()).toEqual(['v1.2']);
    engine.active = former;
    expect(await list()).toEqual(['v1.1']);
    await unload('v1.1');
    expect(await list()).toEqual([]);
  });

  it('does not hide what the sidecar has loaded by itself after a restart', async () => {
    await load('v1.2');
    await unload('v1.2');
    engine.startsWith = V12;
    await engine.stop();
    expect(await errorOf(list())).toMatchObject({ kind: 'unreachable' });
    await engine.start();
    expect(await list()).toEqual(['v1.2']);
    await unload('v1.2');
    expect(await list()).toEqual([]);
    expect(engine.adapters).toEqual([]);
  });
});

describe('a kill that interrupts a reload', () => {
  it('does not hide the version that arrives after the hook', async () => {
    await load('v1.1');
    const release = await giveUpReload('v1.2');
    await unload('v1.1');
    await unload('v1.2');
    expect(await list()).toEqual([]);
    release();
    await eventually(async () => (await list()).includes('v1.2'));
    await unload('v1.2');
    expect(await list()).toEqual([]);
    expect(engine.adapters).toEqual([]);
  });

  it('does not say that it is obeyed while the same version may still come back unseen', async () => {
    await load('v1.2');
    await unload('v1.2');
    const release = await giveUpReload('v1.2');
    await unload('v1.2');
    expect(await list()).toEqual(['v1.2']);
    release();
    await eventually(() => engine.enabled);
    await unload('v1.2');
    expect(engine.enabled).toBe(false);
    // Known again by the next reload that is answered.
    await load('v1.2');
    await unload('v1.2');
    expect(await list()).toEqual([]);
  });

  it('has the last word over an answer that comes later', async () => {
    const release = engine.holdLoads();
    const loading = load('v1.2');
    await eventually(() => engine.heldLoads > 0);
    await unload('v1.2');
    release();
    await loading;
    expect(await list()).toEqual(['v1.2']);
  });
});
