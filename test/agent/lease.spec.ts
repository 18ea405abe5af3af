import { afterEach, expect, it } from '@jest/globals';

import { eventually } from '../support/http.js';
import { FakeControlPlane, state } from './fake-control-plane.js';
import { MemoryEngine } from './memory-engine.js';
import { cleanUp, later, serves, startAgent } from './running-agent.js';

afterEach(cleanUp);

async function start(leaseMs: number, withStream = true) {
  const plane = await FakeControlPlane.start();
  later(() => plane.down());
  if (!withStream) plane.stream = (_request, response) => void response.writeHead(404).end();
  const engine = new MemoryEngine();
  return { plane, engine, running: await startAgent({ planes: [plane], engine, settings: { leaseMs } }) };
}

it('a lease that has expired is the base model, and a confirmation brings the adapter back by itself', async () => {
  const { plane, engine, running } = await start(600);
  await serves(running, engine, 'v1');
  await plane.down();
  await serves(running, engine);
  expect(running.effective()).toMatchObject({
    adapter: null,
    why: 'lease-expired',
    generation: 1,
    enabled: true,
  });
  expect(running.effective().confirmed_seconds_ago).toBeGreaterThanOrEqual(0.6);
  await plane.up();
  await serves(running, engine, 'v1');
  // The state itself was asked for: a stream that says nothing until its heartbeat would be too late.
  const streams = plane.requests.filter(({ path }) => path.startsWith('/lora/stream'));
  expect(streams.at(-1)?.headers).not.toHaveProperty('last-event-id');
  await eventually(() => plane.last?.state === 'converged');
});

it.each([
  ['heartbeats are too far apart for it', true],
  ['the control plane has no stream', false],
])('a lease does not expire while the control plane is there, although %s', async (_what, withStream) => {
  const { engine, running } = await start(400, withStream);
  await serves(running, engine, 'v1');
  const until = performance.now() + 1_500;
  await eventually(() => {
    expect(running.effective().why).toBe('state');
    return performance.now() > until;
  });
  expect(engine.count('load v1')).toBe(1);
});

it('a control plane that cannot ask its log confirms nothing', async () => {
  const { plane, engine, running } = await start(500, false);
  await serves(running, engine, 'v1');
  plane.stale = true;
  await serves(running, engine);
  expect(running.effective().why).toBe('lease-expired');
  // Killed meanwhile: the lease must not bring it back.
  plane.current = state(2, { enabled: false });
  plane.stale = false;
  await eventually(() => running.effective().why === 'killed');
});
