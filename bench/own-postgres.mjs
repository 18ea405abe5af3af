import { once } from 'node:events';
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import { usableBinaries } from '../dist/src/database/embedded-binaries.js';
import { createCluster, DATABASE, OWNER, runningPostmaster } from '../dist/src/database/embedded-cluster.js';
import { openHome } from '../dist/src/database/embedded-home.js';
import { isPostgresOn } from '../dist/src/database/embedded-processes.js';

const quiet = () => undefined;

/** A PostgreSQL of one part's own, which may be stopped, and stand still, as it likes. */
export class OwnPostgres {
  #home;
  #binaries;
  #password;
  #server;
  #still = [];

  static async create(folder) {
    const postgres = new OwnPostgres();
    await mkdir(folder);
    await chmod(folder, 0o711);
    postgres.#home = await openHome(folder, quiet);
    postgres.#binaries = await usableBinaries(postgres.#home.folder, postgres.#home.user, quiet);
    await createCluster(postgres.#home, postgres.#binaries, quiet);
    postgres.#password = await readFile(postgres.#home.passwordFile, 'utf8');
    await postgres.start();
    return postgres;
  }

  /** The owner's, a superuser. */
  get url() {
    return `postgres://${OWNER}:${this.#password}@127.0.0.1:${this.port}/${DATABASE}`;
  }

  get port() {
    return this.#server.port;
  }

  async start() {
    this.#server = await runningPostmaster(this.#home, this.#binaries, this.#server?.port);
  }

  /** SIGQUIT, as `pg_ctl stop -m immediate`: no session is asked, nothing is written. */
  async stop() {
    const { pid } = this.#server;
    // Only what is certain to be this server gets a signal.
    if (await isPostgresOn(pid, this.#home.data)) process.kill(pid, 'SIGQUIT');
    while (await isPostgresOn(pid, this.#home.data)) await pause(10);
  }

  /** SIGSTOP: every process of the server stands still, and its sockets stay open. */
  async hang() {
    const { pid } = this.#server;
    // The parent first, so that nobody is born meanwhile.
    this.#still = [pid];
    process.kill(pid, 'SIGSTOP');
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    this.#still.push(...children.split(' ').filter(Boolean).map(Number));
    this.#signal('SIGSTOP');
  }

  goOn() {
    this.#signal('SIGCONT');
    this.#still = [];
  }

  async end() {
    this.goOn();
    await this.stop();
  }

  #signal(name) {
    for (const pid of this.#still) {
      try {
        process.kill(pid, name);
      } catch (error) {
        // A session that has ended meanwhile.
        if (error.code !== 'ESRCH') throw error;
      }
    }
  }
}

/** A loopback TCP proxy that can become a hole: bytes vanish both ways, and nobody hears of an end. */
export async function openHole(port) {
  let open = false;
  const sockets = new Set();
  const server = createServer((client) => {
    const target = connect(port, '127.0.0.1');
    // What has lost bytes makes no sense any more.
    let broken = false;
    for (const [from, to] of [
      [client, target],
      [target, client],
    ]) {
      sockets.add(from.setNoDelay(true));
      from.on('error', quiet);
      from.on('data', (bytes) => {
        broken ||= open;
        if (!broken) to.write(bytes);
      });
      from.on('close', () => {
        sockets.delete(from);
        broken ||= open;
        if (!broken) to.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: server.address().port,
    swallow: () => (open = true),
    /** The network is back: connections that lost bytes are reset, new ones pass. */
    pass: () => {
      open = false;
      cut();
    },
    close: () => {
      cut();
      server.close();
    },
  };
}
