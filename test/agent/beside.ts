import { eventually } from '../support/http.js';
import { FakeControlPlane, state } from './fake-control-plane.js';
import type { FleetState } from '../../src/agent/fleet-state.js';
import { MemoryEngine } from './memory-engine.js';
import { type AgentOptions, later, startAgent } from './running-agent.js';

/** An agent beside an engine, under a control plane of its own. */
export async function startBeside(
  engine: MemoryEngine,
  rest: Partial<AgentOptions> = {},
  current = state(1),
) {
  const plane = await newPlane(current);
  const running = await startAgent({ planes: [plane], engine, ...rest });
  return { plane, running };
}

/** The control plane has heard that this generation was reached. */
export const acknowledged = (plane: FakeControlPlane, generation: number): Promise<true> =>
  eventually(
    () => plane.last?.observed_generation === generation && plane.last.state === 'converged' && true,
  );

/** A control plane that goes down with the test. */
export async function newPlane(current?: FleetState): Promise<FakeControlPlane> {
  const plane = await FakeControlPlane.start(current);
  later(() => plane.down());
  return plane;
}

/** An agent that follows those, beside an engine of its own. */
export async function startUnder(planes: FakeControlPlane[], rest: Partial<AgentOptions> = {}) {
  const engine = new MemoryEngine();
  return { engine, running: await startAgent({ planes, engine, ...rest }) };
}
