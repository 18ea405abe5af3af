import { afterEach, describe, expect, it } from '@jest/globals';

import { EngineError } from '../../src/agent/driver.js';
import { eventually } from '../support/http.js';
import { state } from './fake-control-plane.js';
import { MemoryEngine } from './memory-engine.js';
import { acknowledged, startBeside as start } from './beside.js';
import { cleanUp, looks, serves } from './running-agent.js';

afterEach(cleanUp);

const killed = state(2, { enabled: false });

describe('an engine', () => {
  it('that was restarted gets its adapter again', async () => {
    const engine = new MemoryEngine();
    const { plane, running } = await start(engine);
    await serves(running, engine, 'v1');
    engine.restart();
    await serves(running, engine, 'v1');
    expect(engine.count('load v1')).toBe(2);
    await eventually(() => plane.last?.state === 'converged');
    expect(plane.last?.observed_adapters).toEqual(['v1']);
  });

  it('that is down is said to be once, and is put right when it is back', async () => {
    const engine = new MemoryEngine();
    const { plane, running } = await start(engine);
    await serves(running, engine, 'v1');
    engine.down = true;
    await eventually(() => plane.last?.state === 'unreachable');
    await looks(engine, 5);
    expect(running.said('engine does not say what it serves')).toHaveLength(1);
    expect(running.effective()).toMatchObject({ adapter: null, why: 'engine-unreachable' });
    plane.tell(killed);
    engine.down = false;
    await acknowledged(plane, 2);
  });

  it('that refuses a load is asked for ever more seldom', async () => {
    const engine = new MemoryEngine();
    engine.fail = (call) => (call === 'load v1' ? new EngineError('refused', 'no such path') : undefined);
    const { plane } = await start(engine, { settings: { reconcileMs: 60_000 } });
    await eventually(() => plane.last?.last_error === 'load v1: no such path');
    expect(plane.last?.state).toBe('pending');
    await eventually(() => engine.count('load v1') >= 5);
    expect(engine.count('load v1')).toBeLessThan(12);
    engine.fail = () => undefined;
    await acknowledged(plane, 1);
  });

  it('that cannot load is unsupported, as long as it should', async () => {
    const engine = new MemoryEngine();
    engine.fail = (call) =>
      call === 'load v1' ? new EngineError('unsupported', 'needs-restart') : undefined;
    const { plane } = await start(engine);
    await eventually(() => plane.last?.state === 'unsupported');
    expect(plane.last?.last_error).toBe('load v1: needs-restart');
    plane.tell(killed);
    await acknowledged(plane, 2);
  });

  it('keeps its agent from nothing by throwing what no driver should', async () => {
    const engine = new MemoryEngine('v0');
    engine.fail = (call) => {
      if (engine.count(call) < 3) throw new TypeError(`surprise in ${call}`);
      return undefined;
    };
    const { running } = await start(engine);
    await serves(running, engine, 'v1');
  });
});
