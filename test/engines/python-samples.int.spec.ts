import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { MemoryEngine } from '../agent/memory-engine.js';
import { cleanUp, later, startAgent } from '../agent/running-agent.js';
import { startApp, type TestApp } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/http.js';

/** The programs that docs/engines.md prints, run as they stand there, but for their addresses. */
const page = await readFile(new URL('../../docs/engines.md', import.meta.url), 'utf8');
const [gateway = '', engine = ''] = [...page.matchAll(/^```python\n(.*?)^```$/gms)].map(
  ([, text]) => text ?? '',
);
const hasPython = spawnSync('python3', ['--version']).status === 0;

let database: TestDatabase;
let service: TestApp;

beforeAll(async () => {
  database = await createDatabase();
  service = await startApp({}, database);
});
afterAll(async () => {
  await service.close();
  await database.drop();
});
beforeEach(() => service.api.post('/lora/enable', { adapter_version: 'v1' }));
afterEach(cleanUp);

/** @returns the lines that it has printed so far */
function run(program: string): { child: ChildProcess; lines: () => string[] } {
  const child = spawn('python3', ['-u', '-c', program], { env: { PATH: process.env.PATH } });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const ended = once(child, 'exit');
  later(() => {
    child.kill('SIGKILL');
    return ended;
  });
  return { child, lines: () => output.split('\n').slice(0, -1) };
}

it('both are printed whole', () => {
  expect(gateway).toContain('def model_now()');
  expect(engine).toContain('def follow(');
});

// Where there is no Python there is nothing that could be wrong.
describe('in Python', () => {
  it('a gateway names the adapter, and the base model from the kill on', async () => {
    if (!hasPython) return;
    const running = await startAgent({ planes: [service.api.url], engine: new MemoryEngine() });
    const asking = 'import sys\nfor _ in sys.stdin: print(model_now())\n';
    const { child, lines } = run(gateway.replace('http://127.0.0.1:8004', running.api.url) + asking);
    const answers = (model: string) =>
      eventually(() => {
        child.stdin?.write('\n');
        return lines().at(-1) === model;
      });
    await answers('v1');
    await service.api.post('/lora/disable');
    await answers('base');
  });

  it('an engine that obeys by itself hears each state, on a replica that comes back too', async () => {
    if (!hasPython) return;
    const { lines } = run(engine.replace('http://127.0.0.1:8003', service.api.url));
    const hears = (...states: string[]) => eventually(() => lines().join() === states.join());
    await hears('serve v1');
    await service.api.post('/lora/disable');
    await hears('serve v1', 'serve the base model');
    await service.api.post('/lora/enable', { adapter_version: 'v2' });
    await hears('serve v1', 'serve the base model', 'serve v2');
    const { port } = new URL(service.api.url);
    await service.close();
    service = await startApp({ PORT: port }, database);
    await service.api.post('/lora/disable');
    await eventually(() => lines().at(-1) === 'serve the base model');
    expect(lines().filter((line) => line === 'serve v2')).toHaveLength(1);
  });
});
