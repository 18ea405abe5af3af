import { afterEach, describe, expect, it } from '@jest/globals';

import { eventually } from '../support/http.js';
import { FakeControlPlane, state } from './fake-control-plane.js';
import { MemoryEngine } from './memory-engine.js';
import { cleanUp, later, looks, type RunningAgent, startAgent } from './running-agent.js';

afterEach(cleanUp);

const killed = state(2, { enabled: false });

/** An agent whose load of v1 has arrived and is held. */
async function loading(settings = {}): Promise<{
  plane: FakeControlPlane;
  engine: MemoryEngine;
  running: RunningAgent;
}> {
  const plane = await FakeControlPlane.start();
  later(() => plane.down());
  const engine = new MemoryEngine();
  engine.hold = (call) => call === 'load v1';
  const running = await startAgent({ planes: [plane], engine, settings });
  await eventually(() => engine.held.has('load v1') && plane.streams.size > 0);
  return { plane, engine, running };
}

const acknowledged = (plane: FakeControlPlane, generation: number): Promise<boolean> =>
  eventually(() => plane.last?.observed_generation === generation && plane.last.state === 'converged');

describe('a load under way', () => {
  it('is told to end by a kill, and by another version', async () => {
    const { plane, engine } = await loading();
    plane.tell(killed);
    await eventually(() => engine.aborted.includes('load v1'));
    await eventually(() => plane.last?.observed_generation === 2 && plane.last.state === 'pending');
    plane.tell(state(3));
    await eventually(() => engine.count('load v1') === 2);
    plane.tell(state(4, { active_adapter_version: 'v2' }));
    await eventually(() => plane.last?.observed_generation === 4 && engine.adapters.has('v2'));
    expect(engine.aborted).toEqual(['load v1', 'load v1']);
    expect([...engine.adapters]).toEqual(['v2']);
  });

  it('that has ended, and was not listed yet, is unloaded by a kill although lists hang', async () => {
    const { plane, engine } = await loading();
    engine.hold = (call) => call === 'list';
    engine.release('load v1');
    await eventually(() => engine.held.has('list'));
    plane.tell(killed);
    await eventually(() => engine.count('unload v1') > 0);
    expect(engine.adapters.size).toBe(0);
  });

  it('that takes too long is tried again, and is no success', async () => {
    const { plane, engine } = await loading({ loadMs: 40 });
    await eventually(() => engine.count('load v1') > 2);
    expect(plane.last?.state).toBe('pending');
    await eventually(() => plane.last?.last_error === 'load v1: no answer within 0.04 s');
    engine.hold = () => false;
    await acknowledged(plane, 1);
  });

  it('that was ended is watched for at a quick pace', async () => {
    const { plane, engine } = await loading({ reconcileMs: 5_000 });
    const began = performance.now();
    plane.tell(killed);
    await looks(engine, 40);
    // At the usual pace that would be more than three minutes.
    expect(performance.now() - began).toBeLessThan(10_000);
    engine.release('load v1');
    await eventually(() => engine.count('unload v1') > 1 && engine.adapters.size === 0);
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  it('is not begun a second time while it lasts', async () => {
    const { plane, engine } = await loading();
    await looks(engine, 5);
    expect(engine.count('load v1')).toBe(1);
    expect(plane.last).toMatchObject({ state: 'pending', last_error: null });
  });
});
