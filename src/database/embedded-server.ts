import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { type EmbeddedBinaries, usableBinaries } from './embedded-binaries.js';
import {
  createCluster,
  DATABASE,
  findPostmaster,
  OWNER,
  type Postmaster,
  runningPostmaster,
  stopServer,
} from './embedded-cluster.js';
import { type EmbeddedHome, openHome } from './embedded-home.js';
import { underLock } from './embedded-lock.js';
import { codeOf } from './embedded-processes.js';

/** A PostgreSQL shared by all services with the same data folder, and started and stopped by them alone. */
export interface EmbeddedServer {
  /** Superuser/owner connection URL (postgres://lora_owner:<password>@127.0.0.1:<port>/lora), password SCRAM. */
  readonly ownerUrl: string;
  /** The postmaster's pid at this time. */
  readonly pid: number;
  /** Leaves the server; the last one out stops it (fast shutdown, durable). Idempotent. */
  leave(): Promise<void>;
}

/** The idle connections by which members count each other: the kernel closes a killed member's. */
const MEMBER = 'lora-member';
const RETRY_MS = 500;

const STARTS = 3;
const LOOKS = 4;
const LOOK_AGAIN_MS = 75;

/** What pg has and its types leave out. */
type MemberClient = Client & { readonly processID: number; ref(): void; unref(): void };

/**
 * Joins the PostgreSQL that lives in dataDir: creates the cluster at first use, starts it, or attaches to a running
 * one. While joined, a server that died is started again on the same port. `say` gets one short human line per step
 * while it happens.
 */
export async function joinEmbeddedServer(
  dataDir: string,
  say: (line: string) => void,
): Promise<EmbeddedServer> {
  const home = await openHome(dataDir, say);
  return underLock(home.lock, async () => {
    const binaries = await usableBinaries(home.folder, home.user, say);
    await createCluster(home, binaries, say);
    const password = await readFile(home.passwordFile, 'utf8');
    const member = new Member(home, binaries, password, say);
    await member.enter();
    return member;
  });
}

class Member implements EmbeddedServer {
  #server: Postmaster | undefined;
  #connection: MemberClient | undefined;
  #left: Promise<void> | undefined;

  constructor(
    private readonly home: EmbeddedHome,
    private readonly binaries: EmbeddedBinaries,
    private readonly password: string,
    private readonly say: (line: string) => void,
  ) {}

  get ownerUrl(): string {
    return `postgres://${OWNER}:${this.password}@127.0.0.1:${this.#server?.port ?? 0}/${DATABASE}`;
  }

  get pid(): number {
    return this.#server?.pid ?? 0;
  }

  leave(): Promise<void> {
    this.#left ??= underLock(this.home.lock, () => this.#leave());
    return this.#left;
  }

  /** Makes the server run and connects to it; to be called under the lock. */
  async enter(): Promise<void> {
    const before = await findPostmaster(this.home);
    const port = this.#server?.port;
    const connection = await this.#reach(port);
    const { rows } = await connection.query<{ version: string }>(
      `select current_setting('server_version') as version`,
    );
    this.#connection = connection;
    connection.once('end', () => {
      this.#watch();
    });
    // Alone, this connection does not keep a service alive.
    connection.unref();

    const how = before?.pid === this.pid ? 'was running already' : 'is running';
    const where = `127.0.0.1:${this.#server?.port ?? 0}, data in ${this.home.folder}`;
    this.say(`PostgreSQL ${rows[0]?.version ?? ''} ${how} on ${where}`);
    if (port !== undefined && port !== this.#server?.port) {
      this.say(`The database moved from port ${port}: start this service again`);
    }
  }

  /** A server that is killed at this moment still looks as if it ran: then it is started again. */
  async #reach(port: number | undefined): Promise<MemberClient> {
    for (let starts = 1; ; starts += 1) {
      this.#server = await runningPostmaster(this.home, this.binaries, port);
      try {
        return await this.#connect();
      } catch (error) {
        if (starts >= STARTS || (await this.#runs())) throw error;
      }
    }
  }

  /** Whether the server that this member knows is still there. */
  async #runs(): Promise<boolean> {
    return (await findPostmaster(this.home))?.pid === this.#server?.pid;
  }

  #watch(): void {
    if (this.#left === undefined) void this.#restore();
  }

  async #restore(): Promise<void> {
    try {
      await underLock(this.home.lock, async () => {
        if (this.#left !== undefined) return;
        this.say('The connection to the embedded PostgreSQL is lost: making sure that it runs');
        await this.enter();
      });
    } catch (error) {
      this.say(`${error instanceof Error ? error.message : String(error)}; trying again`);
      setTimeout(() => {
        this.#watch();
      }, RETRY_MS).unref();
    }
  }

  async #leave(): Promise<void> {
    let others = await this.#countOthers();
    // The connection of a member that was killed just now is still being taken off: look again before believing.
    for (let looks = 1; looks < LOOKS && others > 0 && Number.isFinite(others); looks++) {
      await sleep(LOOK_AGAIN_MS);
      others = await this.#countOthers();
    }
    // The server closes a connection after it took it off its list: the next to leave counts right.
    this.#connection?.ref();
    await this.#connection?.end();
    if (others > 0 || (await findPostmaster(this.home)) === undefined) return;
    this.say('Stopping PostgreSQL: no other service uses it');
    await stopServer(this.home);
  }

  async #countOthers(): Promise<number> {
    if ((await findPostmaster(this.home)) === undefined) return 0;
    try {
      // A new connection, because the old one may just have been lost.
      const connection = await this.#connect();
      const { rows } = await connection.query(
        'select from pg_stat_activity where application_name = $1 and pid <> all ($2)',
        [MEMBER, [connection.processID, this.#connection?.processID ?? 0]],
      );
      await connection.end();
      return rows.length;
    } catch (error) {
      this.say(
        `The members of the embedded PostgreSQL cannot be counted, it is left running: ${String(error)}`,
      );
      return Number.POSITIVE_INFINITY;
    }
  }

  /** A running server may refuse for a moment, while it replays its log after one of its processes crashed. */
  async #connect(): Promise<MemberClient> {
    for (let attempt = 1; ; attempt += 1) {
      const connection = new Client({
        connectionString: this.ownerUrl,
        application_name: MEMBER,
        ssl: false,
      }) as MemberClient;
      // Without a listener a lost connection ends the process; `end` follows and is what counts.
      connection.on('error', () => undefined);
      try {
        await connection.connect();
        return connection;
      } catch (error) {
        const passing = ['57P03', '57P01', 'ECONNREFUSED', 'ECONNRESET'].includes(codeOf(error) ?? '');
        if (!passing || attempt > 200 || !(await this.#runs())) throw error;
        await sleep(50);
      }
    }
  }
}
