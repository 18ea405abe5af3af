import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, describe, expect, it } from '@jest/globals';

import type { Effective } from '../../src/agent/effective.js';
import { VllmEngine } from '../support/engines/vllm.js';
import { eventually } from '../support/http.js';
import { type AgentProcess, runToEnd, startProcess } from './agent-process.js';
import { FakeControlPlane, state } from './fake-control-plane.js';
import { cleanUp, later } from './running-agent.js';

afterEach(cleanUp);

async function start(env: Record<string, string> = {}) {
  const plane = await FakeControlPlane.start();
  later(() => plane.down());
  const engine = await new VllmEngine().start();
  later(() => engine.stop());
  const agent = await startProcess({
    LORA_URL: plane.url,
    ENGINE_DRIVER: 'vllm',
    ENGINE_URL: engine.url.href,
    RECONCILE_SECONDS: '0.2',
    ...env,
  });
  return { plane, engine, agent };
}

const acknowledged = (plane: FakeControlPlane, generation: number): Promise<boolean> =>
  eventually(() => plane.last?.observed_generation === generation && plane.last.state === 'converged');

const serves = (engine: VllmEngine, ...names: string[]): Promise<boolean> =>
  eventually(() => engine.adapters.join() === names.join());

const effective = async ({ api }: AgentProcess): Promise<Effective> =>
  (await api.get('/effective')).body as unknown as Effective;

describe('the agent, as a process', () => {
  it('makes an engine match the state, obeys a kill, and takes itself off the list when it is stopped', async () => {
    const { plane, engine, agent } = await start();
    await serves(engine, 'v1');
    await acknowledged(plane, 1);
    expect(await effective(agent)).toMatchObject({ adapter: 'v1', why: 'state', base_model: 'base-model' });

    await eventually(() => plane.streams.size > 0);
    plane.tell(state(2, { enabled: false }));
    await acknowledged(plane, 2);
    expect(engine.adapters).toEqual([]);
    await eventually(() => agent.lines().some(({ message }) => /^kill obeyed in \d+ ms$/.test(message)));

    plane.tell(state(3, { active_adapter_version: 'v2' }));
    await acknowledged(plane, 3);
    plane.tell(state(4, { enabled: false }));
    await acknowledged(plane, 4);
    const asked = performance.now();
    expect(await agent.end('SIGTERM')).toBe(0);
    expect(performance.now() - asked).toBeLessThan(3_000);
    const [listens] = agent.lines().filter(({ message }) => message === 'agent listens');
    expect(plane.deletes).toEqual([`/engines/engine-1?instance=${String(listens?.instance)}`]);
    for (const line of agent.lines()) {
      expect(line).toMatchObject({ time: expect.stringMatching(/Z$/), level: expect.any(String) });
    }
  });

  it('obeys although nobody takes its log', async () => {
    const { plane, engine, agent } = await start();
    await serves(engine, 'v1');
    await eventually(() => plane.streams.size > 0);
    agent.process.stdout?.destroy();
    plane.tell(state(2, { enabled: false }));
    await acknowledged(plane, 2);
    expect(engine.adapters).toEqual([]);
    expect((await agent.api.post('/kill')).body).toMatchObject({ local_kill: true });
  });

  it('obeys a file without a control plane, and lets go when it is removed', async () => {
    const { plane, engine, agent } = await start();
    await serves(engine, 'v1');
    await plane.down();
    await writeFile(join(agent.stateDir, 'kill'), '');
    await serves(engine);
    await eventually(async () => (await effective(agent)).why === 'local-kill');
    await rm(join(agent.stateDir, 'kill'));
    await serves(engine, 'v1');
  });

  it('killed by the machine starts from its snapshot, and a kill in it is obeyed without anybody', async () => {
    const first = await start();
    await serves(first.engine, 'v1');
    await eventually(() => first.plane.streams.size > 0);
    first.plane.tell(state(2, { enabled: false }));
    await acknowledged(first.plane, 2);
    await first.agent.end('SIGKILL');
    const second = await startProcess({
      LORA_URL: 'http://127.0.0.1:9',
      ENGINE_DRIVER: 'vllm',
      ENGINE_URL: first.engine.url.href,
      STATE_DIR: first.agent.stateDir,
    });
    first.engine.loaded.set('v1', '/adapters/v1');
    await serves(first.engine);
    expect(await effective(second)).toMatchObject({ why: 'killed', generation: 2 });
    expect(await second.end('SIGINT')).toBe(0);
  });

  it('without an engine tells a gateway what to serve', async () => {
    const { agent, plane } = await start({ ENGINE_DRIVER: 'none' });
    await eventually(async () => (await effective(agent)).adapter === 'v1');
    plane.tell(state(2, { enabled: false }));
    await eventually(async () => (await effective(agent)).why === 'killed');
  });
});

describe('a start that cannot be', () => {
  it('says why in a line for each setting', async () => {
    expect(await runToEnd(['--driver', 'x', '--port', 'y'])).toEqual({
      code: 2,
      output:
        'Bad setting: --driver (ENGINE_DRIVER) must be vllm, sglang, llamacpp, max, reload or none, not "x".\n' +
        'Bad setting: --port (AGENT_PORT) must be a port number from 0 to 65535, not "y".\n',
    });
  });

  it('because the port is taken says so', async () => {
    const { agent } = await start();
    const port = new URL(agent.api.url).port;
    const { code, output } = await runToEnd([
      '--driver',
      'none',
      '--port',
      port,
      '--state-dir',
      agent.stateDir,
    ]);
    expect([code, output]).toEqual([1, expect.stringMatching(`Cannot start: .*${port}`)]);
  });

  it('is none with --help', async () => {
    const { code, output } = await runToEnd(['--help']);
    expect([code, output]).toEqual([0, expect.stringMatching('--driver +ENGINE_DRIVER')]);
  });
});
