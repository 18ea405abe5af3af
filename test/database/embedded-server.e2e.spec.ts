import { afterEach, describe, expect, it } from '@jest/globals';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { isPostgresOn } from '../../src/database/embedded-processes.js';
import { type EmbeddedServer, joinEmbeddedServer } from '../../src/database/embedded-server.js';
import {
  cleanUp,
  cloneInto,
  isRunning,
  newFolder,
  query,
  startMember,
  until,
  usedFolder,
} from './embedded-members.js';

const quiet = (): void => undefined;
const count = async (url: string): Promise<number> =>
  (await query<{ n: number }>(url, 'select count(*)::int as n from kept'))[0]?.n ?? 0;
const keep = (url: string): Promise<object[]> =>
  query(url, 'create table if not exists kept (v int); insert into kept values (1)');

const isRoot = process.getuid?.() === 0;
const nobody = isRoot
  ? { uid: Number(execFileSync('id', ['-u', 'nobody'])), gid: Number(execFileSync('id', ['-g', 'nobody'])) }
  : { uid: 0, gid: 0 };
const absent = (): void => undefined;
const asRoot = isRoot ? it : absent;
/** Node itself may be installed where only root gets. */
const asRootAndNobody = isRoot && canRunNode() ? it : absent;

function canRunNode(): boolean {
  try {
    execFileSync(process.execPath, ['--version'], { ...nobody, cwd: '/' });
    return true;
  } catch {
    return false;
  }
}

describe('the embedded PostgreSQL', () => {
  const joined: EmbeddedServer[] = [];
  const others: ChildProcess[] = [];
  const enter = async (dataDir: string, say: (line: string) => void = quiet): Promise<EmbeddedServer> => {
    const server = await joinEmbeddedServer(dataDir, say);
    joined.push(server);
    return server;
  };

  afterEach(async () => {
    for (const server of joined.splice(0)) await server.leave();
    for (const other of others.splice(0)) other.kill('SIGKILL');
    await cleanUp();
  });

  it('is created at the first start, stops with its only member, and keeps what was written', async () => {
    const dataDir = await newFolder();
    const said: string[] = [];
    const first = await enter(dataDir, (line) => said.push(line));
    await keep(first.ownerUrl);
    expect(said).toEqual([
      `Creating a PostgreSQL cluster in ${dataDir}/postgres (first start, takes a few seconds)`,
      expect.stringMatching(/^PostgreSQL 18\S* is running on 127\.0\.0\.1:\d+, data in .*\/postgres$/),
    ]);
    await first.leave();
    await first.leave();
    await until(async () => !(await isRunning(first.pid)));

    const second = await enter(dataDir);
    expect(second.pid).not.toBe(first.pid);
    expect(second.ownerUrl).toBe(first.ownerUrl);
    expect(await count(second.ownerUrl)).toBe(1);
  });

  it('is durable, and closed to everyone without the password', async () => {
    const dataDir = await newFolder();
    const { ownerUrl } = await enter(dataDir);
    const settings = await query<{ name: string; setting: string }>(
      ownerUrl,
      `select name, setting from pg_settings where name in ('fsync', 'full_page_writes', 'listen_addresses',
       'max_connections', 'server_encoding', 'synchronous_commit', 'unix_socket_directories')`,
    );
    expect(Object.fromEntries(settings.map(({ name, setting }) => [name, setting]))).toEqual({
      fsync: 'on',
      full_page_writes: 'on',
      listen_addresses: '127.0.0.1',
      max_connections: '200',
      server_encoding: 'UTF8',
      synchronous_commit: 'on',
      unix_socket_directories: '',
    });
    const { port, password } = new URL(ownerUrl);
    expect(Number(port)).toBeGreaterThan(1024);
    expect(Number(port)).toBeLessThan(32768);
    await expect(query(ownerUrl.replace(password, 'wrong'), 'select 1')).rejects.toMatchObject({
      code: '28P01',
    });
    const file = join(dataDir, 'postgres/cluster/owner-password');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readFile(file, 'utf8')).toBe(password);
  });

  it('is shared by two members and stopped by the last one out', async () => {
    const dataDir = await usedFolder();
    const [one, two] = [await startMember(dataDir), await startMember(dataDir)];
    expect(two.serverPid).toBe(one.serverPid);
    expect(two.said.join()).toContain('was running already');
    await one.leave();
    await keep(two.url);
    expect(await isRunning(one.serverPid)).toBe(true);
    await two.leave();
    await until(async () => !(await isRunning(one.serverPid)));
  });

  it('does not notice a Ctrl-C in the process group of the service that started it', async () => {
    const dataDir = await usedFolder();
    const [one, two] = [await startMember(dataDir), await startMember(dataDir)];
    await one.kill('SIGINT');
    await keep(two.url);
    expect(await count(two.url)).toBe(1);
    expect(await isPostgresOn(two.serverPid, join(dataDir, 'postgres/cluster/data'))).toBe(true);
  });

  it('outlives a killed service, and the next one attaches', async () => {
    const dataDir = await usedFolder();
    const one = await startMember(dataDir);
    await keep(one.url);
    await one.kill('SIGKILL');
    const next = await enter(dataDir);
    expect(next.pid).toBe(one.serverPid);
    expect(await count(next.ownerUrl)).toBe(1);
    await until(async () => {
      const members = await query(
        next.ownerUrl,
        `select from pg_stat_activity where application_name = 'lora-member'`,
      );
      return members.length === 1;
    });
    await next.leave();
    await until(async () => !(await isRunning(next.pid)));
  });

  it('recovers when the service and the database were killed', async () => {
    const dataDir = await usedFolder();
    const one = await startMember(dataDir);
    await keep(one.url);
    // First the service, lest it start the database again.
    await one.kill('SIGKILL');
    process.kill(one.serverPid, 'SIGKILL');
    const next = await enter(dataDir);
    expect(next.pid).not.toBe(one.serverPid);
    expect(await count(next.ownerUrl)).toBe(1);
  });

  it('is started when the server that was found is dying, and takes no connection any more', async () => {
    const dataDir = await usedFolder();
    const before = await enter(dataDir);
    await keep(before.ownerUrl);
    await before.leave();
    const data = join(dataDir, 'postgres/cluster/data');
    const port = Number(new URL(before.ownerUrl).port);

    // What a killed server looks like until the system has taken it off: its process is there, and says ready.
    const sleeping = ['-e', 'setInterval(() => undefined, 1000)', '--', '-D', data];
    const dying = spawn(process.execPath, sleeping, { argv0: 'postgres' });
    others.push(dying);
    await once(dying, 'spawn');
    await until(() => isPostgresOn(dying.pid ?? 0, data));
    const lines = [dying.pid, data, 1, port, '', '127.0.0.1', '', 'ready'];
    await writeFile(join(data, 'postmaster.pid'), `${lines.join('\n')}\n`);
    const gone = once(dying, 'exit');
    const listener = createServer((socket) => {
      listener.close();
      dying.kill('SIGKILL');
      void gone.then(() => socket.resetAndDestroy());
    });
    listener.listen(port, '127.0.0.1');
    await once(listener, 'listening');

    const next = await enter(dataDir);
    expect(next.pid).not.toBe(dying.pid);
    expect(await count(next.ownerUrl)).toBe(1);
  });

  it('comes back by itself, on its port, for every member, when it is killed', async () => {
    const dataDir = await usedFolder();
    const here = await enter(dataDir);
    const there = await startMember(dataDir);
    const before = here.pid;
    await keep(here.ownerUrl);
    process.kill(before, 'SIGKILL');
    await until(() => Promise.resolve(here.pid !== before));
    expect(here.ownerUrl).toBe(there.url);
    await until(async () => {
      const members = await query(
        here.ownerUrl,
        `select from pg_stat_activity where application_name = 'lora-member'`,
      );
      return members.length === 2;
    });
    expect(await count(there.url)).toBe(1);
    await here.leave();
    expect(await count(there.url)).toBe(1);
    await there.leave();
    await until(async () => !(await isRunning(here.pid)));
  });

  it('lets services that start at the same moment on an empty folder share one cluster', async () => {
    const dataDir = await newFolder();
    const members = await Promise.all([1, 2, 3].map(() => startMember(dataDir)));
    expect(new Set(members.map(({ serverPid }) => serverPid)).size).toBe(1);
    expect(members.flatMap(({ said }) => said).filter((line) => line.startsWith('Creating'))).toHaveLength(1);
    await Promise.all(members.map((member) => member.leave()));
    await until(async () => !(await isRunning(members[0]?.serverPid ?? 0)));
  });

  it('is not kept from starting by what a crash left, nor by a program that got an old pid', async () => {
    const dataDir = await newFolder();
    const home = join(dataDir, 'postgres');
    const data = join(home, 'cluster/data');
    await mkdir(join(home, 'cluster.new/data'), { recursive: true });
    await writeFile(join(home, 'cluster.new/data/PG_VERSION'), '18');
    const first = await enter(dataDir);
    await first.leave();

    // PostgreSQL takes its own user's process for a running server, whatever it is.
    const { uid, gid } = await stat(data);
    const program = spawn('sleep', ['600'], isRoot ? { uid, gid, cwd: '/' } : {});
    others.push(program);
    await once(program, 'spawn');
    await writeFile(
      join(data, 'postmaster.pid'),
      `${program.pid ?? 0}\n${data}\n1\n15432\n\n127.0.0.1\n\nready\n`,
    );
    await writeFile(join(home, 'lock'), JSON.stringify({ pid: program.pid, birth: '1', id: 'gone' }));
    const second = await enter(dataDir);
    expect(second.pid).not.toBe(program.pid);
    expect(program.signalCode).toBeNull();
    await second.leave();
    expect((await readdir(home)).sort()).toEqual(['cluster', 'server.log']);
  });

  asRoot('keeps programs and data elsewhere when its user cannot get into the clone', async () => {
    const closed = await newFolder(0o700);
    const root = join(closed, 'clone');
    await cloneInto(root);
    const dataDir = join(root, 'data');
    await mkdir(dataDir);
    const one = await startMember(dataDir, undefined, root);
    expect(one.said.join('\n')).toMatch(/cannot get into .*\/clone\/data: its data is kept in \/var\/lib\//);
    expect(one.said.join('\n')).toContain('Copying');
    await keep(one.url);
    await one.leave();

    const two = await startMember(dataDir, undefined, root);
    expect(two.said.join('\n')).not.toMatch(/Creating|Copying/);
    expect(await count(two.url)).toBe(1);
    const pointer = await readFile(join(dataDir, 'postgres-lives-in.txt'), 'utf8');
    expect(pointer).toMatch(/^\/var\/lib\/lora-control-plane\/data-[0-9a-f]{12}\n/);
    await two.leave();
    await until(async () => !(await isRunning(two.serverPid)));
  });

  asRootAndNobody('serves an ordinary user with a package it cannot write, and root after it', async () => {
    const root = await newFolder();
    await cloneInto(root);
    execFileSync('chmod', ['-R', 'a+rX', root]);
    const dataDir = join(root, 'data');
    await mkdir(dataDir);
    await chown(dataDir, nobody.uid, nobody.gid);
    await chmod(dataDir, 0o700);
    const one = await startMember(dataDir, nobody, root);
    await keep(one.url);
    await one.kill('SIGKILL');
    process.kill(one.serverPid, 'SIGKILL');

    const asRootItself = await enter(dataDir);
    expect(await count(asRootItself.ownerUrl)).toBe(1);
    const status = await readFile(`/proc/${asRootItself.pid}/status`, 'utf8');
    expect(status).toMatch(new RegExp(`^Uid:\\s+${nobody.uid}\\b`, 'm'));
    await asRootItself.leave();

    const again = await startMember(dataDir, nobody, root);
    expect(await count(again.url)).toBe(1);
    await again.leave();
    await until(async () => !(await isRunning(again.serverPid)));
  });
});
