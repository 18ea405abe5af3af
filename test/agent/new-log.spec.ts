import { afterEach, describe, expect, it } from '@jest/globals';

import type { FleetState } from '../../src/agent/fleet-state.js';
import { eventually } from '../support/http.js';
import { OTHER_LOG, state } from './fake-control-plane.js';
import { newPlane, startUnder as start } from './beside.js';
import { cleanUp, type RunningAgent, serves } from './running-agent.js';

afterEach(cleanUp);

const at = (running: RunningAgent, generation: number): Promise<boolean> =>
  eventually(() => running.effective().generation === generation);
const killed = (generation: number, rest: Partial<FleetState> = {}) =>
  state(generation, { enabled: false, ...rest });

describe('a new log', () => {
  const other = { log_id: OTHER_LOG };
  const made = { ...other, last_operation: 'initialized' };

  it('that was made with LoRA enabled lifts no kill, until an operator does', async () => {
    const plane = await newPlane(killed(9));
    const { running, engine } = await start([plane]);
    await at(running, 9);
    await eventually(() => plane.streams.size > 0);
    plane.tell(state(1, made));
    await eventually(() => plane.last?.state === 'conflict');
    expect(plane.last).toMatchObject({ observed_generation: 9, observed_adapters: [] });
    expect(plane.last?.last_error).toMatch(OTHER_LOG);
    expect(engine.count('load v1')).toBe(0);
    plane.tell(state(2, { ...other, last_operation: 'enabled' }));
    await serves(running, engine, 'v1');
    await eventually(() => plane.last?.state === 'converged' && plane.last.log_id === OTHER_LOG);
    expect(plane.last?.observed_generation).toBe(2);
  });

  it('that was made with LoRA enabled changes nothing where nothing was killed', async () => {
    const plane = await newPlane(state(9));
    const { running, engine } = await start([plane]);
    await serves(running, engine, 'v1');
    await eventually(() => plane.streams.size > 0);
    plane.tell(state(1, { ...made, active_adapter_version: 'v2' }));
    await eventually(() => plane.last?.state === 'conflict');
    await serves(running, engine, 'v1');
    plane.tell(killed(2, other));
    await serves(running, engine);
  });

  it('kills at once, with a generation that is lower', async () => {
    const plane = await newPlane(state(9));
    const { running, engine } = await start([plane]);
    await serves(running, engine, 'v1');
    await eventually(() => plane.streams.size > 0);
    plane.tell(killed(1, made));
    await serves(running, engine);
    expect(running.effective()).toMatchObject({ generation: 1, log_id: OTHER_LOG });
  });
});
