import { afterEach, describe, expect, it } from '@jest/globals';

import type { FleetState } from '../../src/agent/fleet-state.js';
import { eventually } from '../support/http.js';
import { type FakeControlPlane, problem, state } from './fake-control-plane.js';
import { newPlane, startUnder as start } from './beside.js';
import { cleanUp, type RunningAgent, serves } from './running-agent.js';

afterEach(cleanUp);

const at = (running: RunningAgent, generation: number): Promise<boolean> =>
  eventually(() => running.effective().generation === generation);
const asked = (plane: FakeControlPlane, path: string) =>
  plane.requests.filter((request) => request.path.startsWith(path));
const killed = (generation: number, rest: Partial<FleetState> = {}) =>
  state(generation, { enabled: false, ...rest });

/** Sends heartbeats for so long. @returns the longest silence in between */
async function beat(plane: FakeControlPlane, milliseconds: number): Promise<number> {
  const began = performance.now();
  let longest = 0;
  for (let last = began; last - began < milliseconds;) {
    plane.heartbeat();
    await new Promise((resume) => setTimeout(resume, 50));
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }
  return longest;
}

describe('the stream', () => {
  it('is asked for the fleet, and resumed where it broke', async () => {
    const plane = await newPlane(state(5));
    const { running, engine } = await start([plane]);
    await serves(running, engine, 'v1');
    for (const stream of plane.streams) stream.destroy();
    await eventually(() => asked(plane, '/lora/stream').length === 2);
    const [first, second] = asked(plane, '/lora/stream');
    expect(first?.path).toBe('/lora/stream?fleet=default');
    expect(first?.headers['last-event-id']).toBeUndefined();
    expect(second?.headers['last-event-id']).toBe('11111111-5');
    await eventually(() => plane.streams.size > 0);
    plane.tell(killed(6));
    await serves(running, engine);
  });

  it('that is silent for too long is dead, and heartbeats keep it alive', async () => {
    const plane = await newPlane();
    const { running } = await start([plane], { timing: { silenceMs: 300 } });
    await at(running, 1);
    await eventually(() => plane.streams.size > 0);
    const opened = (): number => asked(plane, '/lora/stream').length;
    let before: number;
    let longest: number;
    do {
      // Where the machine holds this process up the stream is silent, and another one is right: then once more.
      await eventually(() => plane.streams.size > 0);
      longest = await beat(plane, 200);
      before = opened();
      longest = Math.max(longest, await beat(plane, 600));
    } while (longest > 150);
    expect(opened()).toBe(before);
    await eventually(() => opened() > before);
  });

  it('of a fleet that does not exist is refused in the words of the control plane, which is said once', async () => {
    const plane = await newPlane();
    const detail = 'There is no fleet "defualt". The fleets are: default.';
    plane.stream = problem(404, 'unknown-fleet', detail);
    plane.status = plane.stream;
    const { running } = await start([plane]);
    const refused = () => running.said('control plane refuses this agent: kills do not arrive');
    await eventually(() => plane.requests.filter(({ path }) => path.startsWith('/lora/stream')).length > 2);
    expect(refused()).toEqual([expect.objectContaining({ level: 'error', reason: `HTTP 404: ${detail}` })]);
    expect(running.said('control plane unreachable')).toEqual([]);
  });

  it('of a replica that hangs is given up for another one, and not waited for any further', async () => {
    const [hung, well] = [await newPlane(), await newPlane()];
    hung.stream = () => undefined;
    hung.status = () => undefined;
    const { engine, running } = await start([hung, well], { timing: { openMs: 50 } });
    await serves(running, engine, 'v1');
  });

  it('that says stale is left for another replica', async () => {
    const [one, two] = [await newPlane(), await newPlane()];
    const { running, engine } = await start([one, two]);
    await serves(running, engine, 'v1');
    await eventually(() => one.streams.size > 0);
    one.write('event: stale\ndata: {"as_of":null}\n\n');
    await eventually(() => two.streams.size > 0);
    two.tell(killed(2));
    await serves(running, engine);
  });

  it('of a replica that is behind is left, and what it says is not obeyed', async () => {
    const [ahead, behind] = [await newPlane(killed(7)), await newPlane(state(6))];
    const { running, engine } = await start([ahead, behind]);
    await at(running, 7);
    await ahead.down();
    await eventually(() => asked(behind, '/lora/stream').length > 2);
    expect(running.effective()).toMatchObject({ generation: 7, enabled: false, why: 'killed' });
    expect(engine.count('load v1')).toBe(0);
  });

  it.each<[string, string]>([
    ['an event of a newer control plane', 'event: party\ndata: {"generation":9}\n\n'],
    ['an event that is no JSON', 'event: state\ndata: {"generation":\n\n'],
    ['a state of another fleet', `event: state\ndata: ${JSON.stringify(killed(9, { fleet: 'other' }))}\n\n`],
    [
      'a version that leads out of its folder',
      `event: state\ndata: ${JSON.stringify(state(9, { active_adapter_version: '../v1' }))}\n\n`,
    ],
    [
      'a generation that is none',
      `event: state\ndata: ${JSON.stringify({ ...state(9), generation: '9' })}\n\n`,
    ],
    [
      'a state without its operation',
      `event: state\ndata: ${JSON.stringify({ ...state(9), last_operation: undefined })}\n\n`,
    ],
    ['bytes that are no text', '\u0000\ufffd\r\r\n::\n\n'],
    ['an event without an end', `data: ${'x'.repeat(1_100_000)}`],
  ])('with %s changes nothing, and goes on with the next state', async (_what, text) => {
    const plane = await newPlane();
    const { running, engine } = await start([plane]);
    await serves(running, engine, 'v1');
    await eventually(() => plane.streams.size > 0);
    plane.write(text);
    plane.current = state(2);
    // On the same stream, or on the next one.
    await eventually(() => {
      if (running.effective().generation === 2) return true;
      plane.tell(state(2));
      return false;
    });
    expect(running.effective().adapter).toBe('v1');
    plane.tell(killed(3));
    await serves(running, engine);
  });
});

describe('a control plane without a stream', () => {
  it.each<[string, FakeControlPlane['stream']]>([
    ['refuses', (_request, response) => void response.writeHead(503).end()],
    [
      'answers with a page',
      (_request, response) => void response.writeHead(200, { 'Content-Type': 'text/html' }).end('<p>'),
    ],
    ['redirects', (_request, response) => void response.writeHead(302, { Location: '/lora/status' }).end()],
    ['holds back', () => undefined],
    [
      'lets nothing through',
      (_request, response) => {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders();
      },
    ],
  ])('that %s is followed by reads that wait', async (_what, handler) => {
    const plane = await newPlane(state(5));
    plane.stream = handler;
    const { running, engine } = await start([plane], {
      timing: { openMs: 200, silenceMs: 200, waitMs: 30_000 },
    });
    if (_what === 'redirects') {
      // It is taken for unreachable: nobody knows where that leads.
      await eventually(() => asked(plane, '/lora/stream').length > 1);
      expect(asked(plane, '/lora/status')).toEqual([]);
      return;
    }
    await serves(running, engine, 'v1');
    await eventually(() => plane.waiting.size > 0);
    const wait = asked(plane, '/lora/status').at(-1);
    expect(wait?.headers).toMatchObject({ 'if-none-match': '"11111111-5"', prefer: 'wait=30' });
    plane.tell(killed(6));
    await serves(running, engine);
  });

  it('is obeyed where it says stale only for a kill, and is left then', async () => {
    const [stale, good] = [await newPlane(state(5)), await newPlane(state(5))];
    for (const plane of [stale, good])
      plane.stream = (_request, response) => void response.writeHead(503).end();
    stale.stale = true;
    await good.down();
    const { running, engine } = await start([stale, good]);
    await eventually(() => asked(stale, '/lora/status').length > 2);
    expect(running.effective()).toMatchObject({ generation: null, why: 'never-heard' });
    await good.up();
    await serves(running, engine, 'v1');
    stale.current = killed(6);
    await good.down();
    await serves(running, engine);
    await eventually(() => running.effective().enabled === false);
    stale.current = state(7);
    const before = asked(stale, '/lora/status').length;
    await eventually(() => asked(stale, '/lora/status').length > before + 2);
    expect(running.effective()).toMatchObject({ generation: 6, enabled: false });
  });

  it('that answers at once, although asked to wait, is not asked in a rush', async () => {
    const plane = await newPlane();
    plane.stream = (_request, response) => void response.writeHead(404).end();
    plane.status = (_request, response) => void response.end(JSON.stringify(plane.current));
    const { running, engine } = await start([plane], { timing: { pollMs: 200 } });
    await serves(running, engine, 'v1');
    await new Promise((resume) => setTimeout(resume, 500));
    expect(asked(plane, '/lora/status').length).toBeLessThan(6);
    plane.current = killed(2);
    await serves(running, engine);
  });
});

describe('a control plane that cannot be reached', () => {
  it('changes nothing, is said once, and is followed again when it is back', async () => {
    const plane = await newPlane();
    const { running, engine } = await start([plane]);
    await serves(running, engine, 'v1');
    await plane.down();
    await eventually(() => running.said('control plane unreachable').length > 0);
    await new Promise((resume) => setTimeout(resume, 300));
    expect(running.said('control plane unreachable')).toHaveLength(1);
    expect(running.said('reports are not taken').length).toBeLessThan(2);
    expect(running.effective()).toMatchObject({ adapter: 'v1', why: 'state' });
    plane.current = killed(2);
    await plane.up();
    await serves(running, engine);
    await eventually(() => plane.last?.observed_generation === 2);
  });

  it.each<[string, FakeControlPlane['stream']]>([
    [
      'pages',
      (_request, response) => void response.writeHead(200, { 'Content-Type': 'text/html' }).end('<html>'),
    ],
    ['too much', (_request, response) => void response.writeHead(200).end('x'.repeat(2_000_000))],
    [
      'a state of more than a mebibyte',
      (_request, response) => {
        response.writeHead(200, { 'Content-Type': 'application/json' });
        response.end(JSON.stringify({ ...state(1), more: 'x'.repeat(1_100_000) }));
      },
    ],
    [
      'JSON of anything',
      (_request, response) =>
        void response.writeHead(200, { 'Content-Type': 'application/json' }).end('[null]'),
    ],
    [
      'broken answers',
      (_request, response) => void response.socket?.end('HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n'),
    ],
    ['nothing', (_request, response) => void response.destroy()],
    ['304 to whoever has nothing', (_request, response) => void response.writeHead(304).end()],
  ])('because it answers with %s does no harm', async (_what, handler) => {
    const plane = await newPlane();
    plane.stream = plane.status = plane.engines = handler;
    const { running, engine } = await start([plane]);
    await eventually(() => asked(plane, '/lora/stream').length > 3 && asked(plane, '/engines/').length > 1);
    expect(running.effective()).toMatchObject({ adapter: null, why: 'never-heard' });
    plane.stream = plane.status = plane.engines = undefined;
    await serves(running, engine, 'v1');
    await eventually(() => plane.last?.state === 'converged');
  });
});
