import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { Driver } from '../../../src/agent/driver.js';
import { llamacpp } from '../../../src/agent/drivers/llamacpp.js';
import {
  type Choices,
  errorOf,
  handsOn,
  patient,
  settingsFor,
} from '../../support/engines/driver-settings.js';
import { LlamacppEngine } from '../../support/engines/llamacpp.js';

const ROUTE = '/lora-adapters';

let engine: LlamacppEngine;
let driver: Driver;
const driverWith = (choices: Choices = {}) =>
  llamacpp(settingsFor(engine.url, { path: '/adapters/{version}.gguf', ...choices }));

beforeEach(async () => {
  engine = new LlamacppEngine();
  engine.paths = ['/adapters/v1.1.gguf', '/adapters/v1.2.gguf', '/other/style.gguf'];
  engine.initWithoutApply = true;
  await engine.start();
  driver = driverWith();
});
afterEach(() => engine.stop());

const { list, load, unload } = handsOn(() => ({ driver, engine }));
const sent = () => engine.calls.filter(({ method }) => method === 'POST').map(({ body }) => body);

describe('llama.cpp server, as it should be', () => {
  it('turns up the one of that path, and all others down', async () => {
    engine.scales = [1, 0, 1];
    await load('v1.2');
    expect(sent()).toEqual([[{ id: 1, scale: 1 }]]);
    expect(engine.scales).toEqual([0, 1, 0]);
    expect(await driver.list(patient())).toEqual({ adapters: ['v1.2'], baseModel: null });
  });

  it('lists what it was started with and applied, by version where the path is of one', async () => {
    engine.initWithoutApply = false;
    await engine.restart();
    expect(await list()).toEqual(['v1.1', 'v1.2', '/other/style.gguf']);
  });

  it('turns down one and keeps what should stay as it is', async () => {
    engine.scales = [0.5, 1, 1];
    await unload('v1.2');
    expect(engine.scales).toEqual([0.5, 0, 1]);
    await unload('/other/style.gguf');
    await unload('v1.1');
    expect(sent().at(-1)).toEqual([]);
    expect(await list()).toEqual([]);
  });

  it('turns down several at a time, and none brings another back', async () => {
    engine.scales = [1, 1, 1];
    await Promise.all(['v1.1', 'v1.2', '/other/style.gguf'].map((adapter) => unload(adapter)));
    expect(engine.adapters).toEqual([]);
  });

  it('turns up again what was turned down', async () => {
    await load('v1.2');
    await unload('v1.2');
    await load('v1.2');
    await unload('v1.1');
    expect(await list()).toEqual(['v1.2']);
  });

  it('asks for nothing to be changed when it is down already', async () => {
    await unload('v1.2');
    expect(sent()).toEqual([]);
  });

  it("does not take somebody else's path for a version", async () => {
    engine.paths = ['v1.2', '/adapters/v1.2.gguf.old', '/adapters/.gguf'];
    engine.initWithoutApply = false;
    await engine.restart();
    expect(await list()).toEqual(['v1.2 (not ours)', '/adapters/v1.2.gguf.old', '/adapters/.gguf']);
    await unload('v1.2 (not ours)');
    expect(engine.scales).toEqual([0, 1, 1]);
  });

  it('knows a version by a path that has it twice', async () => {
    engine.paths = ['/adapters/v1.1/v1.1.gguf', '/adapters/v1.2/v1.2.gguf', '/adapters/v1.1/v1.2.gguf'];
    engine.initWithoutApply = false;
    await engine.restart();
    driver = driverWith({ path: '/adapters/{version}/{version}.gguf' });
    expect(await list()).toEqual(['v1.1', 'v1.2', '/adapters/v1.1/v1.2.gguf']);
    await load('v1.2');
    expect(engine.scales).toEqual([0, 1, 0]);
  });

  it('carries the key', async () => {
    engine.key = 'secret';
    expect(await errorOf(list())).toMatchObject({
      kind: 'refused',
      message: 'list: HTTP 401: Invalid API Key',
    });
    driver = driverWith({ engineKey: () => 'secret' });
    await load('v1.2');
    expect(await list()).toEqual(['v1.2']);
  });
});

describe('llama.cpp server that cannot', () => {
  it('needs a restart for a path that it was not started with', async () => {
    const message = 'needs-restart: /adapters/v1.3.gguf was not given at the start (--lora)';
    expect(await errorOf(load('v1.3'))).toMatchObject({ kind: 'unsupported', message });
    expect(sent()).toEqual([]);
  });

  it('has no such route', async () => {
    engine.hasRoute = false;
    expect(await errorOf(list())).toMatchObject({ kind: 'unsupported' });
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'unsupported' });
  });

  it('is not there while its model is being loaded', async () => {
    engine.starting = true;
    const message = `GET ${ROUTE}: HTTP 503: Loading model`;
    expect(await errorOf(list())).toMatchObject({ kind: 'unreachable', message });
    engine.starting = false;
    expect(await list()).toEqual([]);
  });

  it('is not taken for empty when its list cannot be read', async () => {
    for (const body of [{ error: 'x' }, [{ id: 0, path: '/x' }]]) {
      engine.next(ROUTE, { acts: false, answer: { status: 200, body } });
      expect(await errorOf(list())).toMatchObject({ kind: 'refused' });
    }
  });
});

describe('llama.cpp server that was started anew between the list and the change', () => {
  /** Ids as they were before, in an engine which has none of them. */
  const idsOfBefore = () => {
    const body = [{ id: 7, path: '/adapters/v1.2.gguf', scale: 0 }];
    engine.next(ROUTE, { acts: false, answer: { status: 200, body } });
  };

  it('skips the id on a newer build: 200, and the list tells', async () => {
    idsOfBefore();
    await load('v1.2');
    expect(await list()).toEqual([]);
  });

  it('fails on the id on an older build, when all is down already', async () => {
    engine.lenient = false;
    engine.scales = [1, 0, 0];
    idsOfBefore();
    const message = 'load v1.2: HTTP 500: invalid adapter id';
    expect(await errorOf(load('v1.2'))).toMatchObject({ kind: 'refused', message });
    expect(await list()).toEqual([]);
  });
});

describe('a kill on llama.cpp server', () => {
  it('is advisory, because a request can bring its own adapters, unless a gateway strips them', async () => {
    await load('v1.2');
    await unload('v1.2');
    expect(engine.infer()).toEqual([]);
    expect(engine.infer([{ id: 1, scale: 1 }])).toEqual(['/adapters/v1.2.gguf']);
    expect([driver.advisory, driver.capabilities.killIsSticky]).toEqual([true, false]);
    expect(driverWith({ gatewayStripsLora: true }).advisory).toBe(false);
  });

  it('has the last word over a load that it interrupts', async () => {
    engine.scales = [1, 0, 0];
    engine.next(ROUTE, { acts: false, answer: 'silence' });
    const end = new AbortController();
    const loading = errorOf(load('v1.2', end.signal));
    await engine.called(ROUTE);
    end.abort(new Error('ended by: killed'));
    await Promise.all([unload('v1.1'), unload('v1.2')]);
    expect(await loading).toMatchObject({ kind: 'unreachable' });
    expect(engine.adapters).toEqual([]);
  });

  it('whose answer is lost is unknown, and the list tells', async () => {
    await load('v1.2');
    engine.next(ROUTE, { acts: true, answer: { status: 200, body: listOf('/adapters/v1.2.gguf') } });
    engine.next(ROUTE, { acts: true, answer: 'cut' });
    expect(await errorOf(unload('v1.2'))).toMatchObject({ kind: 'unreachable' });
    expect(await list()).toEqual([]);
  });

  it('has to be done again after a restart, which applies everything anew', async () => {
    engine.initWithoutApply = false;
    await engine.stop();
    expect(await errorOf(unload('v1.2'))).toMatchObject({ kind: 'unreachable' });
    await engine.start();
    const adapters = await list();
    expect(adapters).toHaveLength(3);
    for (const adapter of adapters) await unload(adapter);
    expect(engine.adapters).toEqual([]);
  });
});

function listOf(path: string): object[] {
  return [{ id: 1, path, scale: 1 }];
}
