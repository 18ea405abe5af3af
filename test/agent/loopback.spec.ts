import { connect } from 'node:net';

import { afterEach, describe, expect, it } from '@jest/globals';

import { EngineError } from '../../src/agent/driver.js';
import { eventually } from '../support/http.js';
import { FakeControlPlane, problem, state } from './fake-control-plane.js';
import { MemoryEngine } from './memory-engine.js';
import { cleanUp, later, type RunningAgent, serves, startAgent } from './running-agent.js';

afterEach(cleanUp);

async function start(engine = new MemoryEngine(), settings = {}) {
  const plane = await FakeControlPlane.start();
  later(() => plane.down());
  return { plane, engine, running: await startAgent({ planes: [plane], engine, settings }) };
}

/** What comes back for bytes, until the other side ends. */
function raw(running: RunningAgent, text: string): Promise<string> {
  return new Promise((resolve) => {
    let received = '';
    const socket = connect(Number(new URL(running.api.url).port), '127.0.0.1', () => socket.end(text));
    socket.setEncoding('utf8').on('data', (part: string) => (received += part));
    socket
      .on('error', () => undefined)
      .on('close', () => {
        resolve(received);
      });
  });
}

describe('GET /effective', () => {
  it('says what a gateway should serve', async () => {
    const { engine, running } = await start(undefined, {
      adapterName: (version: string) => `lora-${version}`,
    });
    await serves(running, engine, 'v1');
    const { status, headers, body } = await running.api.get('/effective?x=1');
    expect([status, headers.get('content-type')]).toEqual([200, 'application/json']);
    expect(body).toEqual({
      fleet: 'default',
      adapter: 'lora-v1',
      adapter_version: 'v1',
      base_model: 'base',
      why: 'state',
      generation: 1,
      log_id: state(1).log_id,
      enabled: true,
      confirmed_seconds_ago: expect.any(Number),
      local_kill: false,
    });
  });

  it('is the base model while the engine still loads', async () => {
    const engine = new MemoryEngine();
    engine.hold = (call) => call === 'load v1';
    const { running } = await start(engine);
    await eventually(() => engine.held.has('load v1'));
    expect((await running.api.get('/effective')).body).toMatchObject({
      adapter: null,
      adapter_version: null,
      why: 'loading',
    });
    engine.release('load v1');
    await eventually(() => running.effective().adapter === 'v1');
  });

  it('is the base model at once when a kill is known, whatever the engine still does', async () => {
    const engine = new MemoryEngine();
    const { running, plane } = await start(engine);
    await serves(running, engine, 'v1');
    engine.hold = (call) => call === 'unload v1';
    await eventually(() => plane.streams.size > 0);
    plane.tell(state(2, { enabled: false }));
    await eventually(() => engine.held.has('unload v1'));
    expect((await running.api.get('/effective')).body).toMatchObject({
      adapter: null,
      why: 'killed',
      enabled: false,
    });
  });

  it('has the name of the base model although the engine does not say any more what it serves', async () => {
    const { running, plane, engine } = await start();
    await serves(running, engine, 'v1');
    engine.fail = (call) => (call === 'list' ? new EngineError('unreachable', 'busy') : undefined);
    await eventually(() => running.effective().why === 'engine-unreachable');
    expect(running.effective()).toMatchObject({ adapter: null, base_model: 'base' });
    plane.tell(state(2, { enabled: false }));
    await eventually(() => running.effective().why === 'killed');
    expect(running.effective()).toMatchObject({ adapter: null, base_model: 'base' });
  });

  it('is what the state says where there is no engine to ask', async () => {
    const engine = new MemoryEngine();
    engine.lie = () => true;
    const { running } = await start(engine, { driver: 'none' });
    await eventually(() => running.effective().adapter === 'v1');
  });
});

it('GET /health says what it can reach', async () => {
  const { running, plane, engine } = await start();
  await eventually(() => plane.last?.state === 'converged');
  const health = await running.api.get('/health');
  expect([health.status, health.body]).toEqual([
    200,
    { control_plane_reachable: true, engine_reachable: true, state: 'converged', last_error: null },
  ]);
  engine.down = true;
  await plane.down();
  await eventually(() => running.agent.report().state === 'unreachable' && !running.agent.follower.connected);
  expect((await running.api.get('/health')).body).toMatchObject({
    control_plane_reachable: false,
    engine_reachable: false,
    state: 'unreachable',
  });
});

it('GET /health says in whose words reports are refused', async () => {
  const { running, plane } = await start();
  await eventually(() => plane.last?.state === 'converged');
  plane.engines = problem(409, 'engine-in-other-fleet', 'Engine engine-1 stands registered in fleet blue.');
  await running.api.post('/kill');
  const last_error = 'reports are not taken: HTTP 409: Engine engine-1 stands registered in fleet blue.';
  const health = async () => (await running.api.get('/health')).body as { last_error?: unknown };
  await eventually(async () => (await health()).last_error === last_error);
  plane.engines = undefined;
  await eventually(async () => (await health()).last_error === null);
});

describe('whatever else is asked', () => {
  it.each([
    ['GET', '/'],
    ['GET', '/kill'],
    ['PUT', '/kill'],
    ['OPTIONS', '/kill'],
    ['POST', '/effective'],
    ['GET', '/effective/'],
    ['GET', '/__proto__'],
    ['GET', `/${'x'.repeat(10_000)}`],
  ])('%s %s is 404, as JSON', async (method, path) => {
    const { running } = await start();
    const { status, body } = await running.api.send(method, path.slice(0, 5000));
    expect([status, body.error]).toEqual([404, 'not found']);
  });

  it.each([
    'evil.example',
    'evil.example:8004',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '192.168.0.1',
    '',
  ])('is refused to the host %j: a name that leads here is not this machine', async (host) => {
    const { running } = await start();
    const answer = await raw(running, `POST /kill HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1.1 403 /);
    expect(running.effective().local_kill).toBe(false);
  });

  it('is refused to a page of another site, but not for its own name', async () => {
    const { running } = await start();
    const ask = (lines: string): Promise<string> =>
      raw(running, `GET /effective HTTP/1.1\r\n${lines}\r\nConnection: close\r\n\r\n`);
    expect(await ask('Host: 127.0.0.1\r\nOrigin: https://evil.example')).toMatch('403');
    expect(await ask('Host: 127.0.0.1\r\nOrigin: null')).toMatch('403');
    for (const host of ['localhost', 'LOCALHOST:80', '127.0.0.1:1', '[::1]:8004'])
      expect(await ask(`Host: ${host}`)).toMatch('HTTP/1.1 200');
  });

  it.each([
    'nonsense\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    'GET /effective HTTP/1.1\r\n\r\n',
    'POST /kill HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n',
    'POST /kill HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`,
    '\u0000\u0001\u0002',
  ])('is answered or dropped when it is malformed, and the agent lives: %#', async (text) => {
    const { running } = await start();
    await raw(running, text);
    expect((await running.api.get('/health')).status).toBe(200);
  });
});

it('a port that is taken stops the start before the engine is touched', async () => {
  const { running, plane } = await start();
  const engine = new MemoryEngine('v1');
  const port = Number(new URL(running.api.url).port);
  await expect(startAgent({ planes: [plane], engine, settings: { port } })).rejects.toThrow('EADDRINUSE');
  expect(engine.calls).toEqual([]);
});
