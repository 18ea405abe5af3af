import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rebuildProjection } from '../../src/event-store/projection-rebuild.js';
import { cleanUp, isRunning, usedFolder } from '../database/embedded-members.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/http.js';
import { startReplica } from '../support/replica.js';
import { on } from './batches.js';
import { SimpleLog } from './simple-log.js';

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built program as `npm run projection:<task>` does. */
function start(task: string, env: Record<string, string>) {
  const main = new URL('../../dist/src/maintain.main.js', import.meta.url).pathname;
  const child = spawn(process.execPath, [main, task], { env: { PATH: process.env.PATH, ...env } });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
  }
  const ended = once(child, 'close').then(([code]): Ended => ({ code: code as number | null, ...output }));
  return { child, output, ended };
}
const run = (task: string, env: Record<string, string>): Promise<Ended> => start(task, env).ended;

describe('the commands', () => {
  let database: TestDatabase;
  let env: Record<string, string>;

  beforeEach(async () => {
    database = await createDatabase();
    env = { DATABASE_URL: database.url };
  });
  afterEach(() => database.drop());

  it('verify ends with 0 when equal, with 1 when not; rebuild makes it equal again', async () => {
    await new SimpleLog(on(database)).write(30);
    expect(await run('verify', env)).toEqual({
      code: 0,
      stdout: 'Equal: fleet_states says what the log says, 30 states of 3 fleets.\n',
      stderr: '',
    });
    await database.query('delete from fleet_states where generation <= 12');
    const { code, stdout } = await run('verify', env);
    expect(code).toBe(1);
    expect(stdout.split('\n').slice(9)).toEqual([
      'Fleet a, generation 10: the row is missing.',
      '… and 2 more.',
      '12 differences in 30 states of 3 fleets; npm run projection:rebuild mends them.',
      '',
    ]);
    expect(await run('rebuild', env)).toEqual({
      code: 0,
      stdout: 'Rebuilt 30 states of 3 fleets; 12 had been different.\n',
      stderr: '',
    });
    expect(await run('verify', env)).toMatchObject({ code: 0 });
  });

  it('end with 2 and a line that says why when they cannot', async () => {
    await new SimpleLog(on(database)).write(3);
    await database.query(`update fleet_states set state = state || '{"state_version": 2}'`);
    const newer =
      'The state of fleet a at position 1 is of version 2, this service knows version 1: use the newer service that wrote it.';
    const cases: [string, Record<string, string>, string][] = [
      ['verify', env, `Cannot verify: ${newer}\n`],
      ['rebuild', env, `Cannot rebuild: ${newer}\n`],
      ['verify', { DATABASE_URL: 'x' }, 'Cannot verify: DATABASE_URL must be a postgres:// URL.\n'],
      [
        'verify',
        { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/x' },
        'Cannot verify: connect ECONNREFUSED 127.0.0.1:1\n',
      ],
      [
        'toString',
        env,
        'Cannot toString: Say what to do: npm run projection:verify, projection:rebuild, log:adopt or audit:key.\n',
      ],
    ];
    for (const [task, environment, stderr] of cases) {
      expect(await run(task, environment)).toEqual({ code: 2, stdout: '', stderr });
    }
  });

  it('work as the owner that DATABASE_OWNER_URL names', async () => {
    await new SimpleLog(on(database)).write(3);
    const service = new URL(database.url);
    service.username = 'somebody_else';
    const both = { DATABASE_OWNER_URL: database.url, DATABASE_URL: service.href };
    expect(await run('rebuild', both)).toMatchObject({ code: 0 });
  });

  it('rebuild, when stopped, leaves everything as it was', async () => {
    await new SimpleLog(on(database)).write(10);
    const reader = await database.connect();
    await reader.query('begin');
    await reader.query('select from fleet_states limit 1');
    const { child, output, ended } = start('rebuild', env);
    await eventually(() => output.stderr.includes('is being read for long'));
    child.kill('SIGINT');
    const { code, stderr } = await ended;
    expect(code).toBe(2);
    expect(stderr).toMatch(/Cannot rebuild: SIGINT: stopped, nothing was changed\.\n$/);
    await reader.end();
    expect(await database.query("select from pg_class where relname like 'fleet_states_rebuilt%'")).toEqual(
      [],
    );
    expect(await run('verify', env)).toMatchObject({ code: 0 });
  });
});

describe('without DATABASE_URL', () => {
  afterEach(cleanUp);

  it('the commands work on the embedded server, and stop it when nobody else uses it', async () => {
    const DATA_DIR = await usedFolder();
    expect(await run('verify', { DATA_DIR })).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('Cannot verify: This database holds no log: start the service first.'),
    });
    const replica = await startReplica({ env: { DATA_DIR } });
    await replica.api.post('/lora/disable');
    const equal = { code: 0, stdout: 'Equal: fleet_states says what the log says, 2 states of 1 fleet.\n' };
    expect(await run('verify', { DATA_DIR })).toMatchObject(equal);
    expect(await run('rebuild', { DATA_DIR })).toMatchObject({ code: 0 });
    expect((await replica.api.get('/lora/status')).body.enabled).toBe(false);
    await replica.stop();

    const { stderr, ...ended } = await run('verify', { DATA_DIR });
    expect(ended).toEqual(equal);
    expect(stderr).toContain('Stopping PostgreSQL: no other service uses it');
    const { pid } = /"pid":(?<pid>\d+)/.exec(replica.output())?.groups ?? {};
    if (pid !== undefined) expect(await isRunning(Number(pid))).toBe(false);
  });
});

describe('during rebuilds', () => {
  /** Events before it starts: some pages. */
  const FILLED = 100;

  it('another process goes on taking commands and answering reads, none of them stale', async () => {
    const database = await createDatabase();
    await new SimpleLog(on(database)).write(FILLED);
    const replica = await startReplica({ env: { DATABASE_URL: database.url } });
    const owner = await database.connect();
    const rebuilder = { works: true };
    let rebuilds = 0;
    let acknowledged = FILLED;
    const problems: unknown[] = [];

    const write = async (): Promise<number> => {
      let commands = 0;
      for (; rebuilder.works; commands += 1) {
        const call = commands % 2 === 0 ? '/lora/disable' : '/lora/enable';
        const { status, body } = await replica.api.post(call);
        if (status === 200) acknowledged = Number(body.generation);
        else problems.push(body);
      }
      return commands;
    };
    const read = async (): Promise<number> => {
      let reads = 0;
      for (; rebuilder.works; reads += 1) {
        const before = acknowledged;
        const { status, body } = await replica.api.get('/lora/status');
        if (status !== 200 || Number(body.generation) < before) problems.push({ before, body });
      }
      return reads;
    };
    const working = Promise.all([write(), read(), read()]);

    while (acknowledged < FILLED + 40 || rebuilds < 5) {
      await rebuildProjection(owner, { say: () => undefined, pageSize: 20 });
      rebuilds += 1;
    }
    rebuilder.works = false;
    const [commands, ...reads] = await working;

    expect(problems).toEqual([]);
    expect(Math.min(...reads)).toBeGreaterThan(rebuilds);
    expect(acknowledged).toBe(FILLED + 1 + commands);
    expect(await run('verify', { DATABASE_URL: database.url })).toMatchObject({
      code: 0,
      stdout: `Equal: fleet_states says what the log says, ${acknowledged} states of 4 fleets.\n`,
    });
    await owner.end();
    await replica.stop();
    await database.drop();
  });
});
