import { afterEach, describe, expect, it } from '@jest/globals';

import { eventually } from '../support/http.js';
import { FakeControlPlane, state } from './fake-control-plane.js';
import { MemoryEngine } from './memory-engine.js';
import { acknowledged, startBeside as start } from './beside.js';
import { cleanUp, looks, serves, startAgent } from './running-agent.js';

afterEach(cleanUp);

const killed = state(2, { enabled: false });

/** A kill is not proven while the load that it ended may still land. */
const inDoubt = (plane: FakeControlPlane, generation: number): Promise<boolean> =>
  eventually(
    () =>
      plane.last?.observed_generation === generation &&
      plane.last.state === 'pending' &&
      plane.last.last_error === 'a load of v1 was given up, and may still land',
  );

describe('a kill', () => {
  it('unloads what is served, and is acknowledged', async () => {
    const engine = new MemoryEngine();
    const { plane, running } = await start(engine);
    await serves(running, engine, 'v1');
    plane.tell(killed);
    await acknowledged(plane, 2);
    expect([...engine.adapters]).toEqual([]);
    expect(plane.last).toMatchObject({ observed_adapters: [], local_kill: false, last_error: null });
    expect(running.lines.map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/^kill obeyed in \d+ ms$/),
    );
  });

  it('unloads everything else too, whoever has loaded it', async () => {
    const engine = new MemoryEngine('v1', 'somebody-s', 'v0');
    const { running, plane } = await start(engine, {}, killed);
    await acknowledged(plane, 2);
    await serves(running, engine);
  });

  it('ends a load under way at once, and unloads what comes of it however late', async () => {
    const engine = new MemoryEngine();
    engine.hold = (call) => call === 'load v1';
    const { plane, running } = await start(engine);
    await eventually(() => engine.held.has('load v1'));
    plane.tell(killed);
    await inDoubt(plane, 2);
    // The engine finishes nevertheless; nobody told the agent.
    engine.release('load v1');
    await eventually(() => engine.count('unload v1') > 0 && engine.adapters.size === 0);
    await serves(running, engine);
    await acknowledged(plane, 2);
  });

  it('is proven at once when the load that it ended had only looked', async () => {
    const engine = new MemoryEngine();
    engine.hold = (call) => call === 'look v1';
    const { plane, running } = await start(engine, { settings: { loadMs: 3_600_000 } });
    await eventually(() => engine.held.has('look v1'));
    plane.tell(killed);
    await acknowledged(plane, 2);
    await serves(running, engine);
    expect(engine.count('load v1')).toBe(0);
    expect(engine.aborted).toContain('look v1');
  });

  it('is not proven while one of several loads that it ended may still land', async () => {
    const engine = new MemoryEngine();
    engine.hold = (call) => call.startsWith('load');
    const { plane, running } = await start(engine);
    await eventually(() => engine.held.has('load v1'));
    plane.tell(state(2, { active_adapter_version: 'v2' }));
    await eventually(() => engine.held.has('load v2'));
    plane.tell(state(3, { enabled: false }));
    await eventually(() => plane.last?.observed_generation === 3);
    engine.release('load v2');
    await eventually(() => engine.count('unload v2') > 0 && engine.adapters.size === 0);
    await inDoubt(plane, 3);
    engine.release('load v1');
    await serves(running, engine);
    await acknowledged(plane, 3);
  });

  it('is not proven by an agent that was started anew, while a load of its former life may still land', async () => {
    const engine = new MemoryEngine();
    engine.hold = (call) => call === 'load v1';
    const { plane, running } = await start(engine);
    await eventually(() => engine.held.has('load v1'));
    await running.stop();
    plane.tell(killed);
    const { stateDir } = running;
    const next = await startAgent({ planes: [plane], engine, settings: { stateDir, bootGraceMs: 0 } });
    await inDoubt(plane, 2);
    engine.release('load v1');
    await serves(next, engine);
    await acknowledged(plane, 2);
  });

  it('ends one whose driver does not listen to its signal', async () => {
    const engine = new MemoryEngine();
    engine.hold = (call) => call === 'load v1';
    engine.deaf = true;
    const { plane, running } = await start(engine);
    await eventually(() => engine.held.has('load v1'));
    plane.tell(killed);
    await inDoubt(plane, 2);
    engine.release('load v1');
    await serves(running, engine);
  });

  it('looks at a quick pace after that, until no load can come any more', async () => {
    const engine = new MemoryEngine();
    engine.hold = (call) => call === 'load v1';
    const { plane } = await start(engine, {
      settings: { reconcileMs: 300, heartbeatMs: 60_000, loadMs: 1_000 },
      timing: { quickMs: 5 },
    });
    await eventually(() => engine.held.has('load v1'));
    const before = engine.count('list');
    plane.tell(killed);
    await inDoubt(plane, 2);
    await looks(engine, 30);
    // The pace of the reconciler alone would have needed 9 s for so many.
    expect(engine.count('list') - before).toBeGreaterThan(30);
    const isSlow = async (): Promise<boolean> => {
      const count = engine.count('list');
      await new Promise((resume) => setTimeout(resume, 150));
      return engine.count('list') - count <= 1;
    };
    await eventually(isSlow);
    await acknowledged(plane, 2);
  });

  it('is not held up by an unload that hangs', async () => {
    const engine = new MemoryEngine('stuck', 'v0');
    engine.hold = (call) => call === 'unload stuck';
    const { plane, running } = await start(engine, { settings: { unloadMs: 60_000 } });
    await eventually(() => engine.held.has('unload stuck') && !engine.adapters.has('v0'));
    // Somebody loads another one, and then the kill comes.
    engine.adapters.add('v9');
    plane.tell(killed);
    await serves(running, engine, 'stuck');
    expect(engine.count('unload stuck')).toBe(1);
    engine.release('unload stuck');
    await acknowledged(plane, 2);
  });

  it('asks again after an unload that took too long', async () => {
    const engine = new MemoryEngine('v0');
    engine.hold = (call) => call === 'unload v0';
    const { plane } = await start(engine, { settings: { unloadMs: 30 } }, killed);
    await eventually(() => engine.count('unload v0') >= 3);
    await eventually(() => plane.last?.observed_adapters.includes('v0'));
    expect(plane.last).toMatchObject({ state: 'pending', observed_adapters: ['v0'] });
    await eventually(() => plane.last?.last_error === 'unload v0: no answer within 0.03 s');
    engine.hold = () => false;
    await acknowledged(plane, 2);
    expect(plane.last?.last_error).toBeNull();
  });

  it('unloads although the engine does not say any more what it serves', async () => {
    const engine = new MemoryEngine();
    const { plane, running } = await start(engine);
    await serves(running, engine, 'v1');
    await eventually(() => plane.last?.observed_generation === 1);
    engine.hold = (call) => call === 'list';
    await eventually(() => engine.held.has('list'));
    plane.tell(killed);
    await eventually(() => engine.adapters.size === 0);
    expect(plane.last?.observed_generation).toBe(1);
    engine.hold = () => false;
    engine.release('list');
    await acknowledged(plane, 2);
  });

  it('does not believe an answer: what is still listed is unloaded again', async () => {
    const engine = new MemoryEngine('v0');
    let lies = 3;
    engine.lie = (call) => call === 'unload v0' && lies-- > 0;
    const { plane } = await start(engine, {}, killed);
    await acknowledged(plane, 2);
    expect(engine.count('unload v0')).toBe(4);
  });

  it('unloads what comes back by itself', async () => {
    const engine = new MemoryEngine();
    const { plane, running } = await start(engine, {}, killed);
    await acknowledged(plane, 2);
    for (const name of ['v1', 'v1', 'v0']) {
      engine.adapters.add(name);
      await serves(running, engine);
    }
  });
});

describe('a change under way', () => {
  it('is given up for a newer one, and only the newest is reached', async () => {
    const engine = new MemoryEngine();
    const { plane, running } = await start(engine);
    for (let generation = 2; generation < 40; generation++) {
      const enabled = generation % 3 > 0;
      plane.tell(
        state(generation, { enabled, active_adapter_version: enabled ? `v${generation % 5}` : null }),
      );
    }
    plane.tell(state(40, { active_adapter_version: 'v9' }));
    await serves(running, engine, 'v9');
    await acknowledged(plane, 40);
    const reported = plane.puts.map((put) => put.observed_generation ?? 0);
    expect(reported).toEqual([...reported].sort((a, b) => a - b));
  });

  it('keeps a load whose version is still wanted', async () => {
    const engine = new MemoryEngine();
    engine.hold = (call) => call === 'load v1';
    const { plane, running } = await start(engine);
    await eventually(() => engine.held.has('load v1'));
    plane.tell(state(2));
    await eventually(() => running.effective().generation === 2);
    await looks(engine, 3);
    engine.release('load v1');
    await acknowledged(plane, 2);
    expect(engine.count('load v1')).toBe(1);
  });

  it('goes by way of the base model: the old one is gone before the new one is loaded', async () => {
    const engine = new MemoryEngine();
    const { plane, running } = await start(engine);
    await serves(running, engine, 'v1');
    plane.tell(state(2, { active_adapter_version: 'v2' }));
    await serves(running, engine, 'v2');
    expect(engine.calls.indexOf('unload v1')).toBeLessThan(engine.calls.indexOf('load v2'));
  });
});

it('an agent that stops leaves the engine as it is, and its row where it serves an adapter', async () => {
  const engine = new MemoryEngine();
  const { plane, running } = await start(engine);
  await serves(running, engine, 'v1');
  await running.stop();
  expect([...engine.adapters]).toEqual(['v1']);
  // The next kill must miss it.
  expect(plane.deletes).toEqual([]);
  const calls = engine.calls.length;
  await new Promise((resume) => setTimeout(resume, 250));
  expect(engine.calls).toHaveLength(calls);
});

it('an agent that stops leaves its row where a load may still land', async () => {
  const engine = new MemoryEngine();
  engine.hold = (call) => call === 'load v1';
  const { plane, running } = await start(engine);
  await eventually(() => engine.held.has('load v1'));
  await running.stop();
  expect(plane.deletes).toEqual([]);
});

it('an agent that stops leaves its row where a load that a kill has ended may still land', async () => {
  const engine = new MemoryEngine();
  engine.hold = (call) => call === 'load v1';
  const { plane, running } = await start(engine);
  await eventually(() => engine.held.has('load v1'));
  plane.tell(killed);
  await inDoubt(plane, 2);
  await running.stop();
  expect(plane.deletes).toEqual([]);
});

it('an agent that stops takes its row away when its engine serves the base model', async () => {
  const { plane, running } = await start(new MemoryEngine(), {}, killed);
  await acknowledged(plane, 2);
  await running.stop();
  expect(plane.deletes).toEqual([`/engines/engine-1?instance=${running.agent.instance}`]);
});
