import { chmod, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import pg from 'pg';

import { type EmbeddedBinaries, usableBinaries } from '../../src/database/embedded-binaries.js';
import { DATABASE, OWNER, type Postmaster, runningPostmaster } from '../../src/database/embedded-cluster.js';
import { type EmbeddedHome, openHome } from '../../src/database/embedded-home.js';
import { codeOf, isPostgresOn } from '../../src/database/embedded-processes.js';
import { until } from './agreement-node.js';
import { putCluster } from './cluster.js';

const quiet = (): void => undefined;

/** A PostgreSQL of one test's own, which can be stopped like a machine that loses its power. */
export class OwnPostgres {
  private server: Postmaster | undefined;
  private paused: number[] = [];
  private port: number | undefined;

  private constructor(
    private readonly folder: string,
    private readonly home: EmbeddedHome,
    private readonly binaries: EmbeddedBinaries,
    private readonly password: string,
  ) {}

  static async create(): Promise<OwnPostgres> {
    const folder = await mkdtemp(join(tmpdir(), 'agreement-'));
    await chmod(folder, 0o755);
    const home = await openHome(folder, quiet);
    const binaries = await usableBinaries(home.folder, home.user, quiet);
    await putCluster(home.folder);
    const postgres = new OwnPostgres(folder, home, binaries, await readFile(home.passwordFile, 'utf8'));
    await postgres.start();
    return postgres;
  }

  /** The owner's, a superuser. */
  get url(): string {
    return `postgres://${OWNER}:${this.password}@127.0.0.1:${this.port ?? 0}/${DATABASE}`;
  }

  async start(): Promise<void> {
    this.server = await runningPostmaster(this.home, this.binaries, this.port);
    this.port = this.server.port;
  }

  /** SIGQUIT: no session is asked, nothing is written; the next start replays the log. */
  async stopImmediate(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (!server) return;
    process.kill(server.pid, 'SIGQUIT');
    await until('PostgreSQL ends', async () => !(await isPostgresOn(server.pid, this.home.data)));
  }

  /** From the next start on it is a standby that nothing replicates to: it answers reads with what it has. */
  async becomeStandby(): Promise<void> {
    await writeFile(this.standbySignal, '');
    await this.own();
  }

  async becomePrimary(): Promise<void> {
    await rm(this.standbySignal);
  }

  private get standbySignal(): string {
    return join(this.home.data, 'standby.signal');
  }

  /** SIGSTOP: every process of the server stands still, and its sockets stay open. */
  async pause(): Promise<void> {
    const { server } = this;
    if (!server) return;
    const backends = await this.query<{ pid: number }>('select pid from pg_stat_activity');
    // The parent first, so that nobody is born meanwhile.
    this.paused = [server.pid, ...backends.map(({ pid }) => pid)];
    this.signal('SIGSTOP');
  }

  resume(): void {
    this.signal('SIGCONT');
    this.paused = [];
  }

  /** Of the stopped server's data; `restore` puts it back. */
  async backUp(): Promise<{ restore(): Promise<void> }> {
    const copy = `${this.home.data}.copy`;
    const keepRights = { recursive: true, preserveTimestamps: true };
    await cp(this.home.data, copy, keepRights);
    return {
      restore: async () => {
        await rm(this.home.data, { recursive: true });
        await cp(copy, this.home.data, keepRights);
        await this.own();
      },
    };
  }

  async query<Row extends pg.QueryResultRow>(sql: string, parameters: unknown[] = []): Promise<Row[]> {
    const client = new pg.Client({ connectionString: this.url, connectionTimeoutMillis: 3000 });
    client.on('error', quiet);
    await client.connect();
    try {
      return (await client.query<Row>(sql, parameters)).rows;
    } finally {
      await client.end();
    }
  }

  async remove(): Promise<void> {
    this.resume();
    await this.stopImmediate();
    await rm(this.folder, { recursive: true, force: true });
    if (!this.home.folder.startsWith(this.folder))
      await rm(this.home.folder, { recursive: true, force: true });
  }

  private signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    for (const pid of this.paused) {
      try {
        process.kill(pid, signal);
      } catch (error) {
        // A session that has ended meanwhile.
        if (codeOf(error) !== 'ESRCH') throw error;
      }
    }
  }

  /** What root has copied belongs to the server's user again. */
  private async own(): Promise<void> {
    const { user, data } = this.home;
    if (!user) return;
    const { chown, readdir } = await import('node:fs/promises');
    await chown(data, user.uid, user.gid);
    await chmod(data, 0o700);
    for (const entry of await readdir(data, { recursive: true, withFileTypes: true }))
      await chown(join(entry.parentPath, entry.name), user.uid, user.gid);
  }
}
