import { afterEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chown, copyFile, cp, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { isPostgresOn } from '../../src/database/embedded-processes.js';
import { cleanUp, isRunning, newFolder } from '../database/embedded-members.js';
import { type Replica, type ReplicaOptions, startReplica } from '../support/replica.js';

const project = fileURLToPath(new URL('../..', import.meta.url));
const NOBODY = { uid: 65534, gid: 65534 };

const dataOf = (dataDir: string): string => join(dataDir, 'postgres/cluster/data');

/** The server on this folder, as PostgreSQL's own file and the process list say it. */
async function postmasterOf(dataDir: string): Promise<number> {
  const data = dataOf(dataDir);
  const pid = Number((await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')[0]);
  expect(await isPostgresOn(pid, data)).toBe(true);
  return pid;
}

/** What the service needs to run, in another folder, open to every user. */
async function installInto(root: string): Promise<void> {
  await cp(join(project, 'package.json'), join(root, 'package.json'));
  await cp(join(project, 'dist'), join(root, 'dist'), { recursive: true });
  const lock = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean }>;
  };
  for (const [path, { dev = false }] of Object.entries(lock.packages)) {
    const there = path === '' || dev ? undefined : await stat(join(project, path)).catch(() => undefined);
    if (there) await cp(join(project, path), join(root, path), { recursive: true, verbatimSymlinks: true });
  }
  execFileSync('chmod', ['-R', 'a+rX', root]);
}

/** From where an ordinary user runs the service: from here, or a copy when Node or this folder is closed to others. */
async function withinReachOf(user: typeof NOBODY): Promise<ReplicaOptions> {
  try {
    const check = ['--check', join(project, 'dist/src/main.js')];
    execFileSync(process.execPath, check, { ...user, cwd: '/', stdio: 'ignore' });
    return { user };
  } catch {
    const root = await newFolder();
    await installInto(root);
    const node = join(root, 'node');
    await copyFile(process.execPath, node);
    return { user, root, node };
  }
}

describe('the service without DATABASE_URL', () => {
  const replicas: Replica[] = [];
  const start = async (dataDir: string, options: ReplicaOptions = {}): Promise<Replica> => {
    const replica = await startReplica({
      cwd: dataDir,
      detached: true,
      env: { DATA_DIR: dataDir },
      ...options,
    });
    replicas.push(replica);
    return replica;
  };

  afterEach(async () => {
    for (const replica of replicas.splice(0)) await replica.stop('SIGKILL');
    await cleanUp();
  });

  it('says at its first start what it does, and keeps its database in ./data', async () => {
    const folder = await newFolder();
    const service = await start(folder, { env: {} });
    const steps = [
      `Listening on ${service.api.url}; try: curl ${service.api.url}/lora/status`,
      `Creating a PostgreSQL cluster in ${folder}/data/postgres (first start, takes a few seconds)`,
      'PostgreSQL 18',
      'is running on 127.0.0.1:',
      'Applied migration',
      'The log is new: made fleet default, LoRA enabled, the base model.',
      'Ready: this replica takes commands.',
    ];
    const places = steps.map((step) => service.output().indexOf(step));
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((one, other) => one - other));
    // What is signed may say anything in base64.
    expect(service.output().replaceAll(/Checkpoint of .*/g, '')).not.toMatch(/warn|error/i);
    expect((await service.api.get('/lora/status')).body).toMatchObject({ enabled: true, generation: 1 });

    const postmaster = await postmasterOf(join(folder, 'data'));
    await service.stop();
    expect(await isRunning(postmaster)).toBe(false);

    const again = await start(folder, { env: {} });
    expect(again.output()).not.toMatch(/Creating|Applied|The log is new/);
    expect((await again.api.get('/lora/status')).body).toMatchObject({ enabled: true, generation: 1 });
  });

  it('is two replicas when started twice; Ctrl-C of the first leaves the second taking kills', async () => {
    const dataDir = await newFolder();
    const first = await start(dataDir);
    const second = await start(dataDir);
    const postmaster = await postmasterOf(dataDir);
    expect(second.output()).toMatch('was running already');
    expect(second.api.url).not.toBe(first.api.url);
    await first.api.post('/lora/deploy', { adapter_version: 'v1.2' });
    expect((await second.api.get('/lora/status')).body).toMatchObject({ active_adapter_version: 'v1.2' });

    // They sign with one key, and one checkpoint for each size of the log.
    const [checkpoint, same] = await Promise.all(
      [first, second].map(({ api }) => api.get('/audit/checkpoint?fresh=true')),
    );
    expect(checkpoint).toMatchObject({ status: 200, body: { size: 2 } });
    expect(same?.body).toStrictEqual(checkpoint?.body);
    for (const { api } of [first, second])
      expect((await api.get('/audit/key')).body).toStrictEqual({ key: checkpoint?.body.key, earlier: [] });

    // As a terminal does it: to everything in the group of the first.
    process.kill(-first.pid, 'SIGINT');
    const asked = performance.now();
    const killed = await second.api.post('/lora/disable', { reason: 'regression_detected' });
    expect(performance.now() - asked).toBeLessThan(1000);
    expect(killed).toMatchObject({ status: 200, body: { enabled: false, resume_adapter_version: 'v1.2' } });

    await first.stop('SIGINT');
    expect(first.process.exitCode).toBe(0);
    expect(await postmasterOf(dataDir)).toBe(postmaster);
    expect(await second.api.post('/lora/enable')).toMatchObject({ status: 200, body: { enabled: true } });
    expect((await second.api.get('/health/ready')).status).toBe(200);

    await second.stop();
    expect(second.process.exitCode).toBe(0);
    expect(second.output()).toMatch('Stopping PostgreSQL: no other service uses it');
    expect(await isRunning(postmaster)).toBe(false);
  });

  it('works for an ordinary user who cannot write where it is installed', async () => {
    const dataDir = await newFolder(0o700);
    const options = process.getuid?.() === 0 ? await withinReachOf(NOBODY) : {};
    if (options.user) await chown(dataDir, options.user.uid, options.user.gid);
    const first = await start(dataDir, options);
    const second = await start(dataDir, options);
    const postmaster = await postmasterOf(dataDir);
    const { uid } = await stat(dataOf(dataDir));
    expect(uid).toBe(options.user?.uid ?? process.getuid?.());
    expect(await first.api.post('/lora/disable')).toMatchObject({ status: 200, body: { enabled: false } });
    process.kill(-first.pid, 'SIGINT');
    expect(await second.api.post('/lora/enable')).toMatchObject({ status: 200, body: { enabled: true } });
    await first.stop('SIGINT');
    await second.stop();
    expect(second.process.exitCode).toBe(0);
    expect(await isRunning(postmaster)).toBe(false);
  }, 120_000);
});
