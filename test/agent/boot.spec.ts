import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, describe, expect, it } from '@jest/globals';

import { eventually } from '../support/http.js';
import { FakeControlPlane, OTHER_LOG, state } from './fake-control-plane.js';
import { MemoryEngine } from './memory-engine.js';
import { cleanUp, later, looks, newFolder, serves, startAgent } from './running-agent.js';

afterEach(cleanUp);

/** Nobody listens there. */
const NOWHERE = 'http://127.0.0.1:9';
const killed = state(5, { enabled: false });

const ago = (seconds: number): string => new Date(Date.now() - seconds * 1000).toISOString();
const saved = (rest: object, confirmed_at: string | null = ago(5)): string =>
  JSON.stringify({ ...state(5), confirmed_at, ...rest });

async function folderWith(text: string): Promise<string> {
  const stateDir = await newFolder();
  await writeFile(join(stateDir, 'state.json'), text);
  return stateDir;
}

async function newPlane(current = state(5)): Promise<FakeControlPlane> {
  const plane = await FakeControlPlane.start(current);
  later(() => plane.down());
  return plane;
}

describe('an agent that starts without a control plane', () => {
  it.each<[string, string, string, string[]]>([
    ['never heard a state: base model', '', 'never-heard', []],
    ['was killed: base model', saved(killed), 'killed', []],
    ['was killed long ago: base model', saved(killed, ago(1e6)), 'killed', []],
    ['was killed nobody knows when: base model', saved(killed, null), 'killed', []],
    ['was enabled a moment ago: goes on', saved({}), 'recent-snapshot', ['v1']],
    ['was enabled a while ago: base model', saved({}, ago(120)), 'unconfirmed-snapshot', []],
    ['was enabled in the future: base model', saved({}, ago(-120)), 'unconfirmed-snapshot', []],
    ['was enabled nobody knows when: base model', saved({}, null), 'unconfirmed-snapshot', []],
    ['was in another fleet: base model', saved({ fleet: 'other' }), 'never-heard', []],
    ['has a broken file: base model', saved({}).slice(0, 40), 'never-heard', []],
    ['has an empty file: base model', '', 'never-heard', []],
    ['has a huge file: base model', saved({ more: 'x'.repeat(100_000) }), 'never-heard', []],
    ['has a file of something else: base model', '[1]', 'never-heard', []],
  ])('and %s', async (_what, text, why, adapters) => {
    const stateDir = await folderWith(text);
    const engine = new MemoryEngine('v1', 'v7');
    const running = await startAgent({ planes: [NOWHERE], engine, settings: { stateDir } });
    await serves(running, engine, ...adapters);
    await looks(engine, 2);
    await serves(running, engine, ...adapters);
    expect(running.effective()).toMatchObject({ adapter: adapters[0] ?? null, why });
    expect(running.said('snapshot set aside')).toHaveLength(why === 'never-heard' ? 1 : 0);
  });

  it('has no warning for a file that is not there', async () => {
    const engine = new MemoryEngine('v1');
    const running = await startAgent({ planes: [NOWHERE], engine });
    await serves(running, engine);
    expect(running.said('snapshot set aside')).toEqual([]);
  });

  it('does not grow old while it runs', async () => {
    const stateDir = await folderWith(saved({}));
    const engine = new MemoryEngine();
    const settings = { stateDir, bootGraceMs: 5_300 };
    const running = await startAgent({ planes: [NOWHERE], engine, settings });
    await serves(running, engine, 'v1');
    await eventually(() => (running.effective().confirmed_seconds_ago ?? 0) > 5.6);
    await looks(engine, 2);
    expect(running.effective()).toMatchObject({ adapter: 'v1', why: 'recent-snapshot' });
  });
});

describe('an agent that starts with an old snapshot', () => {
  it('asks for the state itself, and serves it when it is confirmed', async () => {
    const stateDir = await folderWith(saved({}, ago(500)));
    const plane = await newPlane();
    const engine = new MemoryEngine();
    const running = await startAgent({ planes: [plane], engine, settings: { stateDir } });
    await serves(running, engine, 'v1');
    expect(running.effective().why).toBe('state');
    expect(plane.requests.find(({ path }) => path.startsWith('/lora/stream'))?.headers).not.toHaveProperty(
      'last-event-id',
    );
  });

  it('of a kill keeps it against a log that was lost and made again', async () => {
    const stateDir = await folderWith(saved(killed, ago(500)));
    const plane = await newPlane(state(1, { log_id: OTHER_LOG, last_operation: 'initialized' }));
    const engine = new MemoryEngine('v1');
    const running = await startAgent({ planes: [plane], engine, settings: { stateDir } });
    await eventually(() => plane.last?.state === 'conflict');
    await serves(running, engine);
  });

  it('and a replica that is behind stays on the base model', async () => {
    const stateDir = await folderWith(saved({}, ago(500)));
    const plane = await newPlane(state(4));
    const engine = new MemoryEngine();
    const running = await startAgent({ planes: [plane], engine, settings: { stateDir } });
    await eventually(() => running.said('state received').length > 2);
    expect(running.effective()).toMatchObject({ adapter: null, why: 'unconfirmed-snapshot' });
    plane.current = state(5);
    await serves(running, engine, 'v1');
  });
});

describe('what is on disk', () => {
  it('is the last state and when it was confirmed, for nobody else to read', async () => {
    const plane = await newPlane();
    const engine = new MemoryEngine();
    const running = await startAgent({ planes: [plane], engine });
    const file = join(running.stateDir, 'state.json');
    const read = async (): Promise<Record<string, unknown>> =>
      JSON.parse(await readFile(file, 'utf8').catch(() => '{}')) as Record<string, unknown>;
    await eventually(async () => (await read()).generation === 5);
    const before = await read();
    expect(before).toMatchObject({ ...state(5), confirmed_at: expect.stringMatching(/Z$/) });
    expect((await stat(file)).mode & 0o777).toBe(0o600);

    await eventually(() => plane.streams.size > 0);
    plane.heartbeat();
    await eventually(async () => String((await read()).confirmed_at) > String(before.confirmed_at));
    plane.tell(state(6, { enabled: false }));
    await eventually(async () => (await read()).enabled === false);
    await running.stop();
    expect(await readdir(running.stateDir)).toEqual(['state.json']);
  });

  it('has a kill before the control plane hears that it was obeyed', async () => {
    const plane = await newPlane();
    const engine = new MemoryEngine();
    const { stateDir } = await startAgent({ planes: [plane], engine });
    await eventually(() => plane.streams.size > 0);
    for (let generation = 6; generation < 26; generation++) {
      plane.tell(state(generation, { enabled: generation % 2 > 0 }));
      await eventually(() => plane.last?.observed_generation === generation);
      expect(await readFile(join(stateDir, 'state.json'), 'utf8')).toMatch(`"generation":${generation},`);
    }
  });

  it('is enough to go on: a second life serves the same without a control plane', async () => {
    const plane = await newPlane();
    const engine = new MemoryEngine();
    const first = await startAgent({ planes: [plane], engine });
    await serves(first, engine, 'v1');
    await first.stop();
    await plane.down();
    engine.restart();
    const second = await startAgent({ planes: [plane], engine, settings: { stateDir: first.stateDir } });
    await serves(second, engine, 'v1');
    expect(second.effective()).toMatchObject({ why: 'recent-snapshot', generation: 5 });
  });

  it.each<[string, (stateDir: string) => Promise<unknown>]>([
    [
      'a folder where the file should be',
      (stateDir) => mkdir(join(stateDir, 'state.json/x'), { recursive: true }),
    ],
    [
      'a folder where the draft should be',
      (stateDir) => mkdir(join(stateDir, 'state.json.new/x'), { recursive: true }),
    ],
    ['a link to nowhere', (stateDir) => symlink('/nowhere/at/all', join(stateDir, 'state.json.new'))],
    [
      'a file that nobody may read',
      async (stateDir) => {
        await writeFile(join(stateDir, 'state.json'), 'x');
        await chmod(join(stateDir, 'state.json'), 0o000);
      },
    ],
  ])('may be %s: a kill does not mind', async (_what, make) => {
    const stateDir = await newFolder();
    await make(stateDir);
    const plane = await newPlane();
    const engine = new MemoryEngine();
    const running = await startAgent({ planes: [plane], engine, settings: { stateDir } });
    await serves(running, engine, 'v1');
    await eventually(() => plane.streams.size > 0);
    plane.tell(state(6, { enabled: false }));
    await serves(running, engine);
  });

  it('may be nothing, because the folder is a file: a warning, and a kill works', async () => {
    const file = join(await newFolder(), 'file');
    await writeFile(file, '');
    const plane = await newPlane();
    const engine = new MemoryEngine();
    const running = await startAgent({ planes: [plane], engine, settings: { stateDir: file } });
    await serves(running, engine, 'v1');
    expect(running.said('no folder for the state')).toHaveLength(1);
    await eventually(() => running.said('snapshot not written').length === 1);
    await eventually(() => plane.streams.size > 0);
    plane.tell(state(6, { enabled: false }));
    await serves(running, engine);
  });
});
