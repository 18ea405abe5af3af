import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, describe, expect, it } from '@jest/globals';

import { eventually } from '../support/http.js';
import { FakeControlPlane, state } from './fake-control-plane.js';
import { MemoryEngine } from './memory-engine.js';
import { cleanUp, later, newFolder, serves, startAgent } from './running-agent.js';

afterEach(cleanUp);

async function start(stateDir?: string, current = state(1)) {
  const plane = await FakeControlPlane.start(current);
  later(() => plane.down());
  const engine = new MemoryEngine();
  stateDir ??= await newFolder();
  const running = await startAgent({ planes: [plane], engine, settings: { stateDir } });
  return { plane, engine, running, file: join(stateDir, 'kill'), stateDir };
}

/** A folder can be no folder: then nothing can be written there, not even by root. */
async function noFolder(): Promise<string> {
  const file = join(await newFolder(), 'file');
  await writeFile(file, '');
  return file;
}

describe('the local hand brake', () => {
  it('is a file: the engine is on the base model while it is there', async () => {
    const { plane, engine, running, file } = await start();
    await serves(running, engine, 'v1');
    await writeFile(file, 'because');
    await serves(running, engine);
    await eventually(() => plane.last?.local_kill === true && plane.last.state === 'conflict');
    expect(plane.last).toMatchObject({ observed_adapters: [], observed_generation: 1 });
    expect(running.effective()).toMatchObject({
      adapter: null,
      why: 'local-kill',
      local_kill: true,
      enabled: true,
    });
    await rm(file);
    await serves(running, engine, 'v1');
    await eventually(() => plane.last?.local_kill === false && plane.last.state === 'converged');
  });

  it('is noticed within a second', async () => {
    const { engine, running, file } = await start();
    await serves(running, engine, 'v1');
    const pulled = performance.now();
    await mkdir(file);
    await serves(running, engine);
    expect(performance.now() - pulled).toBeLessThan(1000);
  });

  it('is above any state, and no conflict with one that is a kill', async () => {
    const { plane, engine, running, file } = await start();
    await serves(running, engine, 'v1');
    await writeFile(file, '');
    await serves(running, engine);
    await eventually(() => plane.streams.size > 0);
    plane.tell(state(2, { active_adapter_version: 'v2' }));
    await eventually(() => plane.last?.observed_generation === 2);
    expect(engine.count('load v2')).toBe(0);
    plane.tell(state(3, { enabled: false }));
    await eventually(() => plane.last?.state === 'converged' && plane.last.local_kill);
    await rm(file);
    await eventually(() => plane.last?.local_kill === false);
    expect(running.effective()).toMatchObject({ adapter: null, why: 'killed' });
  });

  it('is on from the start when the file is there', async () => {
    const stateDir = await newFolder();
    await writeFile(join(stateDir, 'kill'), '');
    const { engine, running, plane } = await start(stateDir);
    await eventually(() => plane.last?.observed_generation === 1);
    expect(engine.calls.filter((call) => call !== 'list')).toEqual([]);
    expect(running.effective().why).toBe('local-kill');
  });

  it('ends a load under way', async () => {
    const plane = await FakeControlPlane.start();
    later(() => plane.down());
    const engine = new MemoryEngine();
    engine.hold = (call) => call === 'load v1';
    const running = await startAgent({ planes: [plane], engine });
    await eventually(() => engine.held.has('load v1'));
    expect((await running.api.post('/kill')).status).toBe(200);
    await eventually(() => plane.last?.state === 'conflict');
    engine.release('load v1');
    await serves(running, engine);
  });

  it('stays on when its folder is lost, until there is one without the file', async () => {
    const { engine, running, file, stateDir } = await start();
    await serves(running, engine, 'v1');
    await writeFile(file, '');
    await serves(running, engine);
    await rename(stateDir, `${stateDir}-lost`);
    later(() => rm(`${stateDir}-lost`, { recursive: true }));
    await new Promise((resume) => setTimeout(resume, 200));
    expect(running.effective().why).toBe('local-kill');
    await mkdir(stateDir);
    await serves(running, engine, 'v1');
  });
});

describe('POST /kill', () => {
  it('makes the file, DELETE /kill removes it, and both may be repeated', async () => {
    const { engine, running, stateDir } = await start();
    await serves(running, engine, 'v1');
    for (let turn = 0; turn < 2; turn++) {
      const pulled = await running.api.post('/kill');
      expect([pulled.status, pulled.body]).toEqual([200, { local_kill: true, kept_in: 'file' }]);
    }
    expect(await readdir(stateDir)).toContain('kill');
    await serves(running, engine);
    for (let turn = 0; turn < 2; turn++) {
      const released = await running.api.send('DELETE', '/kill');
      expect([released.status, released.body]).toEqual([200, { local_kill: false }]);
    }
    expect(await readdir(stateDir)).not.toContain('kill');
    await serves(running, engine, 'v1');
  });

  it('lasts over a restart, and ends when somebody removes the file', async () => {
    const { engine, running, file, plane, stateDir } = await start();
    await running.api.post('/kill');
    await running.stop();
    const second = await startAgent({ planes: [plane], engine, settings: { stateDir } });
    await eventually(() => second.effective().why === 'local-kill');
    await second.api.post('/kill');
    await rm(file);
    await serves(second, engine, 'v1');
  });

  it('works in memory where there is no disk, and says so', async () => {
    const { engine, running, plane } = await start(await noFolder());
    await serves(running, engine, 'v1');
    const pulled = await running.api.post('/kill');
    expect(pulled).toMatchObject({ status: 200, body: { local_kill: true, kept_in: 'memory' } });
    expect(pulled.body.notice).toMatch('ends with the process');
    await serves(running, engine);
    await eventually(() => plane.last?.local_kill === true);
    await new Promise((resume) => setTimeout(resume, 100));
    expect(running.effective().why).toBe('local-kill');
  });

  it('takes any body', async () => {
    const { running } = await start();
    for (const text of ['{', '\0', 'x'.repeat(100_000)]) {
      expect((await running.api.send('POST', '/kill', { text })).status).toBe(200);
    }
  });
});

it('a DELETE that cannot remove the file says so, and the brake stays on', async () => {
  const { engine, running, file } = await start();
  await mkdir(join(file, 'not-empty'), { recursive: true });
  await serves(running, engine);
  await eventually(() => running.effective().local_kill);
  const released = await running.api.send('DELETE', '/kill');
  expect(released.status).toBe(500);
  expect(running.effective()).toMatchObject({ local_kill: true, adapter: null });
});
