import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { clearTimeout } from 'node:timers';
import { setTimeout as pause } from 'node:timers/promises';

import pg from 'pg';

import { joinEmbeddedServer } from '../dist/src/database/embedded-server.js';
import { prepareDatabase } from '../dist/src/database/prepare-database.js';
import { call } from './client.mjs';
import { OwnPostgres } from './own-postgres.mjs';

const file = (path) => new URL(path, import.meta.url).pathname;
/** Replicas and the bare service run under the flags of `npm run start:prod`. */
const NODE_FLAGS = startFlags();
const quiet = { log: () => undefined, warn: () => undefined };
const PROCESSES_MAX = 12;
const ENDING_MS = 5_000;

/** What the benchmark starts, and ends: PostgreSQL servers of its own, replicas, floors, one load generator. */
export class Stage {
  #folder;
  #server;
  #loadProcess;
  #loading = false;
  #children = new Set();
  #servers = [];

  /** @param profileTo a folder into which every replica writes a CPU profile when it ends */
  constructor(profileTo) {
    this.profileTo = profileTo;
  }

  async open() {
    this.#folder = await mkdtemp(join(tmpdir(), 'lora-bench-'));
    // PostgreSQL does not run as root, and its user must get in.
    await chmod(this.#folder, 0o711);
    this.#server = await joinEmbeddedServer(this.#folder, () => undefined);
    // No checkpoint in the middle of a round; the one after building the logs is asked for.
    await this.asOwner('lora', async (client) => {
      await client.query("alter system set max_wal_size = '8GB'");
      await client.query("alter system set checkpoint_timeout = '30min'");
      await client.query('select pg_reload_conf()');
    });
  }

  urlOf(database) {
    const url = new URL(this.#server.ownerUrl);
    url.pathname = `/${database}`;
    return url.href;
  }

  /** The path of a file that ends with the stage. */
  file(name) {
    return join(this.#folder, name);
  }

  /** Makes a database with an empty log. */
  async database(name) {
    await this.asOwner('lora', (client) => client.query(`create database ${name}`));
    await prepareDatabase(this.urlOf(name), undefined, quiet);
  }

  async asOwner(database, work) {
    const client = new pg.Client({ connectionString: this.urlOf(database) });
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  /** One more PostgreSQL, for what must not disturb the others; it is ended with the stage. */
  async postgres() {
    const server = await OwnPostgres.create(join(this.#folder, `own-${this.#servers.length}`));
    this.#servers.push(server);
    return server;
  }

  /** @returns port, pid, how to stop it, and the time from its start to its first 200 of /health/ready */
  replica(database) {
    return this.replicaOn(this.urlOf(database));
  }

  async replicaOn(url) {
    const started = performance.now();
    const profiling = this.profileTo === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${this.profileTo}`];
    const child = this.#keep(
      spawn(process.execPath, [...NODE_FLAGS, ...profiling, file('../dist/src/main.js')], {
        env: { PATH: process.env.PATH, PORT: '0', DATABASE_URL: url },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    let output = '';
    const listening = new Promise((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text) => {
          output += text;
          const port = /Listening on http:\S+?:(\d+);/.exec(output)?.[1];
          if (port) resolve(Number(port));
        });
      }
      child.once('exit', () => reject(new Error(`A replica ended:\n${output}`)));
    });
    const port = await within(30_000, listening, 'A replica did not start');
    while ((await call(port, { path: '/health/ready', any: true })).status !== 200) await pause(5);
    return { port, pid: child.pid, readyMs: performance.now() - started, stop: () => end(child) };
  }

  /** A bare service that answers every request with what it was told last. */
  async bare() {
    const child = this.#keep(fork(file('./bare.mjs'), { execArgv: NODE_FLAGS }));
    const { port } = await reply(child);
    const answerWith = async (text) => {
      child.send({ text });
      await reply(child);
    };
    return { port, answerWith, stop: () => end(child) };
  }

  /** Has the load generator do a job, one at a time. */
  async load(job) {
    if (this.#loading) throw new Error('The load generator does one job at a time.');
    this.#loading = true;
    try {
      this.#loadProcess ??= this.#keep(fork(file('./load.mjs')));
      this.#loadProcess.send(job);
      const { result, error } = await reply(this.#loadProcess);
      if (error) throw new Error(error);
      return result;
    } finally {
      this.#loading = false;
    }
  }

  async close() {
    await Promise.all([...this.#children].map(end));
    await Promise.all(this.#servers.map((server) => server.end()));
    await this.#server?.leave();
    if (this.#folder) await rm(this.#folder, { recursive: true, force: true });
  }

  #keep(child) {
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    if (this.#children.size > PROCESSES_MAX) throw new Error(`More than ${PROCESSES_MAX} processes at once.`);
    return child;
  }
}

/** The next message of a child, which must not end before. */
async function reply(child) {
  const message = new Promise((resolve, reject) => {
    const gone = () => reject(new Error('A process of the benchmark ended.'));
    child.once('exit', gone).once('message', (sent) => {
      child.off('exit', gone);
      resolve(sent);
    });
  });
  return within(120_000, message, 'No reply');
}

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), ENDING_MS);
  await exited;
  clearTimeout(timer);
}

async function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} within ${ms / 1000} s.`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function startFlags() {
  const { scripts } = JSON.parse(readFileSync(file('../package.json'), 'utf8'));
  const [, flags] = /^exec node (.*)dist\/src\/main\.js$/.exec(scripts['start:prod']);
  return flags.split(' ').filter(Boolean);
}
