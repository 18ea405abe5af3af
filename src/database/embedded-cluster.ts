import { execFile, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import {
  chmod,
  chown,
  constants,
  mkdir,
  open,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { EmbeddedBinaries } from './embedded-binaries.js';
import type { EmbeddedHome } from './embedded-home.js';
import { birthOf, isPostgresOn, spawnOptions } from './embedded-processes.js';

// What changes or watches the server in this file is called under the lock of its home.

/** What postmaster.pid says about the server. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly ready: boolean;
}

export const OWNER = 'lora_owner';
export const DATABASE = 'lora';

const FIRST_PORT = 15432;
/** Above lie the ports that the system gives to clients: one that retries could connect to itself there. */
const LAST_PORT = 32767;

const run = promisify(execFile);

/** Creates the cluster with its owner and its database unless it is there. Not there means: nothing of it is. */
export async function createCluster(
  home: EmbeddedHome,
  binaries: EmbeddedBinaries,
  say: (line: string) => void,
): Promise<void> {
  if ((await stat(home.data).catch(() => undefined)) !== undefined) return;
  say(`Creating a PostgreSQL cluster in ${home.folder} (first start, takes a few seconds)`);
  const cluster = dirname(home.data);
  const unfinished = `${cluster}.new`;
  const data = join(unfinished, 'data');
  const passwordFile = join(unfinished, 'owner-password');
  await rm(unfinished, { recursive: true, force: true });
  for (const folder of [unfinished, data]) {
    await mkdir(folder);
    await chmod(folder, folder === data ? 0o700 : 0o711);
  }
  await writeFile(passwordFile, randomBytes(24).toString('hex'), { mode: 0o600, flush: true });
  if (home.user !== undefined) {
    for (const path of [data, passwordFile]) await chown(path, home.user.uid, home.user.gid);
  }

  const options = spawnOptions(unfinished, home.user);
  await run(
    binaries.initdb,
    [
      ...['-D', data, `--username=${OWNER}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
      // The same order of text on every machine, whatever its locales.
      ...['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
      ...['--set=max_connections=200', '--set=shared_buffers=128MB'],
      ...['--set=timezone=UTC', '--set=log_timezone=UTC'],
    ],
    options,
  );
  const single = run(binaries.postgres, ['--single', '-D', data, 'postgres'], options);
  single.child.stdin?.end(`create database ${DATABASE}\n`);
  const { stderr } = await single;
  // This mode ends with 0 whatever became of its statements.
  if (/\b(ERROR|FATAL|PANIC):/.test(stderr)) throw new Error(`The database cannot be created: ${stderr}`);
  await rename(unfinished, cluster);
  await syncFolder(home.folder);
}

/** Makes a rename below `folder` outlive a power cut; Windows cannot, and does it by itself. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder);
  await handle.sync().finally(() => handle.close());
}

/** The server on this home's data, in whatever state it is; `undefined` when none is. */
export async function findPostmaster(home: EmbeddedHome): Promise<Postmaster | undefined> {
  const text = await readFile(join(home.data, 'postmaster.pid'), 'utf8').catch(() => '');
  const [pid, , , port, , , , status] = text.split('\n');
  if (!(await isPostgresOn(Number(pid), home.data))) return undefined;
  return { pid: Number(pid), port: Number(port), ready: status?.trim() === 'ready' };
}

/**
 * Returns the server when it takes connections, starting it when there is none.
 * @param port the only port it may get, for a caller who handed it out already
 * @throws Error with the end of the server's log when it ends during its start
 */
export async function runningPostmaster(
  home: EmbeddedHome,
  binaries: EmbeddedBinaries,
  port?: number,
): Promise<Postmaster> {
  const logged = (await stat(home.log).catch(() => undefined))?.size ?? 0;
  for (let starts = 0; starts < 20;) {
    const found = await findPostmaster(home);
    if (found?.ready) return found;
    if (found === undefined) {
      starts += 1;
      const pid = await startServer(home, binaries, port ?? (await choosePort(home)));
      await untilFoundOrEnded(home, pid);
      // The processes of a killed predecessor may still hold its memory, or its port.
      if ((await findPostmaster(home)) === undefined) await sleep(100);
    } else {
      // It starts, replays its log after a crash, or is being stopped; it will say or end.
      await sleep(20);
    }
  }
  const log = (await readFile(home.log)).subarray(logged).toString().trim().split('\n').slice(-6).join('\n');
  throw new Error(
    `The embedded PostgreSQL in ${home.folder} does not start; the end of ${home.log}:\n${log}`,
  );
}

/** Fast and durable: sessions are ended, memory is written to disk. Returns when the server has ended. */
export async function stopServer(home: EmbeddedHome): Promise<void> {
  const server = await findPostmaster(home);
  if (server === undefined) return;
  process.kill(server.pid, 'SIGINT');
  while (await isPostgresOn(server.pid, home.data)) await sleep(10);
}

/** In a session of its own with files for output: no Ctrl-C and no closing terminal of the service reaches it. */
async function startServer(home: EmbeddedHome, binaries: EmbeddedBinaries, port: number): Promise<number> {
  await forgetReusedPid(home);
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND;
  // Windows has no O_NOFOLLOW. Elsewhere: root must not be led into another file by the folder's owner.
  const noFollow = (constants as Partial<typeof constants>).O_NOFOLLOW ?? 0;
  const log = await open(home.log, flags | noFollow, 0o600);
  try {
    const child = spawn(
      binaries.postgres,
      [
        ...['-D', home.data, '-p', String(port)],
        // On the command line, so that no edit of postgresql.conf opens it to the network.
        ...['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='],
      ],
      { ...spawnOptions(home.folder, home.user), detached: true, stdio: ['ignore', log.fd, log.fd] },
    );
    await once(child, 'spawn');
    child.unref();
    return child.pid ?? 0;
  } finally {
    await log.close();
  }
}

async function untilFoundOrEnded(home: EmbeddedHome, pid: number): Promise<void> {
  while ((await birthOf(pid)) !== undefined && (await findPostmaster(home))?.pid !== pid) await sleep(10);
}

/** PostgreSQL refuses to start when its last pid belongs by now to any other program of the same user. */
async function forgetReusedPid(home: EmbeddedHome): Promise<void> {
  const file = join(home.data, 'postmaster.pid');
  const pid = Number((await readFile(file, 'utf8').catch(() => '')).split('\n')[0]);
  if (pid > 0 && (await birthOf(pid)) !== undefined) await rm(file, { force: true });
}

/** The port of last time if it is free, because a service may still know it; else a random free one. */
async function choosePort(home: EmbeddedHome): Promise<number> {
  const options = await readFile(join(home.data, 'postmaster.opts'), 'utf8').catch(() => '');
  const last = Number(/"-p" "(\d+)"/.exec(options)?.[1]);
  if (last > 0 && (await isFree(last))) return last;
  for (let port = randomInt(FIRST_PORT, LAST_PORT - 1000); port <= LAST_PORT; port += 1) {
    if (await isFree(port)) return port;
  }
  throw new Error(`No free port on 127.0.0.1 between ${FIRST_PORT} and ${LAST_PORT}`);
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  try {
    probe.listen({ port, host: '127.0.0.1' });
    await once(probe, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    probe.close();
  }
}
