import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { appendFile, readdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';

import { cleanUp, newFolder, usedFolder } from '../database/embedded-members.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { lockHead } from '../support/head-lock.js';
import { eventually } from '../support/http.js';
import { type Replica, runToEnd, startReplica } from '../support/replica.js';

const STACK = /^\s+at .+:\d+/m;
/** Colours, and all that the logger writes before the message. */
const DECORATION = new RegExp(`${String.fromCharCode(27)}\\[\\d+(;\\d+)*m`, 'g');

function linesOf(output: string): string[] {
  return output
    .replace(DECORATION, '')
    .split('\n')
    .filter((line) => line !== '');
}

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await cleanUp();
});

async function start(env: Record<string, string>): Promise<Replica> {
  const replica = await startReplica({ env });
  closers.push(() => replica.stop('SIGKILL'));
  return replica;
}

async function newDatabase(): Promise<TestDatabase> {
  const database = await createDatabase();
  closers.push(() => database.drop());
  return database;
}

/** A program of somebody else's on a port. */
async function occupyPort(): Promise<string> {
  const other: Server = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  closers.push(() => new Promise((resume) => other.close(resume)));
  return String((other.address() as AddressInfo).port);
}

describe('a bad setting', () => {
  it.each([
    ['PORT', 'eighty', 'PORT must be a port number from 0 to 65535, not "eighty".'],
    ['LORA_ENABLED', 'yes', 'LORA_ENABLED must be true or false, not "yes".'],
    // A URL holds a password: its value is not repeated.
    ['DATABASE_URL', 'mysql://ana:secret@db/lora', 'DATABASE_URL must be a postgres:// URL.'],
    [
      'DATABASE_OWNER_URL',
      'postgres://ana:secret@127.0.0.1/lora',
      'DATABASE_OWNER_URL needs DATABASE_URL beside it.',
    ],
    [
      'HOST',
      '0.0.0.0',
      'HOST=0.0.0.0 can be reached from elsewhere, and nobody is asked who calls: ' +
        'set ACCESS_FILE or OIDC_ISSUER, or ACCESS=open when that is meant.',
    ],
  ])('%s=%s stops the start with a line that says so', async (name, value, line) => {
    const dataDir = await newFolder();
    const { code, output } = await runToEnd({ cwd: dataDir, env: { DATA_DIR: dataDir, [name]: value } });
    expect(output).toBe(`Bad setting: ${line}\n`);
    expect(code).toBe(2);
    // It stopped before it did anything.
    expect(await readdir(dataDir)).toEqual([]);
  });

  it('does not hide another: each has a line of its own', async () => {
    const { code, output } = await runToEnd({
      env: { PORT: 'x', LORA_ENABLED: '1', DATABASE_URL: 'http://u:secret@h/', ACTIVE_LORA_ADAPTER: '-' },
    });
    expect(linesOf(output)).toEqual([
      'Bad setting: PORT must be a port number from 0 to 65535, not "x".',
      'Bad setting: DATABASE_URL must be a postgres:// URL.',
      'Bad setting: LORA_ENABLED must be true or false, not "1".',
      'Bad setting: ACTIVE_LORA_ADAPTER must be an adapter version such as v1.2, not "-".',
    ]);
    expect(code).toBe(2);
  });

  it('is not one that is empty: compose files pass those', async () => {
    const { url } = await newDatabase();
    const { api } = await start({ DATABASE_URL: url, LORA_ENABLED: '', ACTIVE_LORA_ADAPTER: '', HOST: '' });
    expect((await api.get('/lora/status')).body).toMatchObject({
      enabled: true,
      active_adapter_version: null,
    });
  });
});

describe('a start that cannot be', () => {
  /** A line that says why, and nothing of the program's inside. */
  async function expectRefusal(env: Record<string, string>, why: RegExp): Promise<string> {
    const { code, output } = await runToEnd({ env });
    const lines = linesOf(output).filter((line) => line.includes('Cannot start'));
    expect(lines).toEqual([expect.stringMatching(why)]);
    expect(output).not.toMatch(STACK);
    expect(code).toBe(1);
    return output;
  }

  it('for a port in use says which, and does not touch the database', async () => {
    const dataDir = await newFolder();
    const refused = (port: string): Promise<string> =>
      expectRefusal({ DATA_DIR: dataDir, PORT: port }, new RegExp(`Cannot start: .*\\b${port}\\b`));

    expect(await refused(await occupyPort())).not.toMatch('PostgreSQL');
    expect(await readdir(dataDir)).toEqual([]);

    const running = await start({ DATA_DIR: await usedFolder() });
    expect(await refused(new URL(running.api.url).port)).not.toMatch('PostgreSQL');
    expect(await running.api.post('/lora/disable')).toMatchObject({ status: 200, body: { enabled: false } });
    await running.stop();
    expect(running.process.exitCode).toBe(0);
    expect(running.output()).toMatch('Stopping PostgreSQL: no other service uses it');
  });

  it('for a database that could lose a kill says so, and stops the database that it had started', async () => {
    const dataDir = await usedFolder();
    const data = join(dataDir, 'postgres/cluster/data');
    await appendFile(join(data, 'postgresql.auto.conf'), 'fsync = off\n');

    const output = await expectRefusal({ DATA_DIR: dataDir }, /Cannot start: .*fsync off/);
    expect(output).not.toMatch('Ready:');
    expect(output).toMatch('Stopping PostgreSQL: no other service uses it');
    expect(await readdir(data)).not.toContain('postmaster.pid');
  });

  it('for a DATA_DIR that is a file names it', async () => {
    const file = join(await newFolder(), 'file');
    await writeFile(file, '');
    await expectRefusal({ DATA_DIR: file }, new RegExp(`Cannot start: .*${file}`));
  });
});

describe('a database that is not there yet', () => {
  /** A service that is live and not ready, and has said why in a line, without its password. */
  async function expectWaiting(databaseUrl: URL, why: RegExp): Promise<Replica> {
    const service = await startReplica({ env: { DATABASE_URL: databaseUrl.href }, until: 'listening' });
    closers.push(() => service.stop('SIGKILL'));
    const reasons = (): string[] =>
      linesOf(service.output()).filter((line) => line.includes('Waiting for the database:'));
    await eventually(() => reasons().length > 0);
    expect(reasons()).toEqual([expect.stringMatching(why)]);

    expect((await service.api.get('/health/live')).status).toBe(200);
    expect(await service.api.get('/health/ready')).toMatchObject({
      status: 503,
      body: { status: 'not-ready' },
    });
    expect((await service.api.get('/health')).body).toMatchObject({
      status: 'degraded',
      components: { log: 'down' },
      flags_differ: null,
    });
    for (const path of ['/lora/status', '/lora/status?consistency=eventual', '/fleets'])
      expect(await service.api.get(path)).toMatchObject({ status: 503, body: { code: 'log-unavailable' } });
    expect(await service.api.post('/lora/disable')).toMatchObject({
      status: 503,
      body: { code: 'log-unavailable', outcome: 'none' },
    });

    expect(service.process.exitCode).toBeNull();
    expect(service.output()).not.toMatch(/Ready:|Cannot start/);
    expect(service.output()).not.toMatch(databaseUrl.password);
    expect(service.output()).not.toMatch(STACK);
    return service;
  }

  async function expectTakesOver(service: Replica): Promise<void> {
    await eventually(() => service.output().includes('Ready: this replica takes commands.'));
    expect((await service.api.get('/health/ready')).status).toBe(200);
    // Of what was sent while it waited nothing happened.
    expect((await service.api.get('/lora/status')).body).toMatchObject({ enabled: true, generation: 1 });
    expect(await service.api.post('/lora/disable')).toMatchObject({ status: 200, body: { generation: 2 } });
  }

  it('because its server is not: the service waits, and stops when it is told to', async () => {
    const { url } = await newDatabase();
    const gone = new URL(url);
    gone.port = await occupyPort();
    // Its port is free then, and nobody listens.
    await closers.pop()?.();
    const service = await expectWaiting(gone, /Waiting for the database: .*ECONNREFUSED/);
    const asked = performance.now();
    await service.stop('SIGTERM');
    expect(service.process.exitCode).toBe(0);
    expect(performance.now() - asked).toBeLessThan(5000);
  });

  it('because it has not been made: the service waits, and takes it when it is', async () => {
    const database = await newDatabase();
    const later = `${database.name}_later`;
    const url = new URL(database.url);
    url.pathname = `/${later}`;
    const service = await expectWaiting(
      url,
      new RegExp(`Waiting for the database: .*"${later}" does not exist`),
    );
    closers.push(async () => {
      await database.query(`drop database if exists ${later} with (force)`);
      await database.query(`drop role if exists ${later}_service`);
    });
    await database.query(`create database ${later}`);
    await expectTakesOver(service);
  });

  it('because the password is another: the service waits, and takes it when it fits', async () => {
    const database = await newDatabase();
    const role = `${database.name}_owner`;
    await database.query(`create role ${role} login superuser password 'the-old-one'`);
    closers.push(async () => {
      await database.query(`drop owned by ${role}`);
      await database.query(`drop role ${role}`);
    });
    const url = new URL(database.url);
    url.username = role;
    url.password = 'not-the-password';
    const service = await expectWaiting(url, /Waiting for the database: .*password authentication failed/);
    await database.query(`alter role ${role} password 'not-the-password'`);
    await expectTakesOver(service);
    expect(service.output()).not.toMatch('not-the-password');
    await service.stop();
  });
});

describe('SIGTERM', () => {
  /** Ends it, and says how: its code, and whether within the time that an orchestrator gives. */
  async function terminate(service: Replica): Promise<{ code: number | null; inTime: boolean }> {
    const asked = performance.now();
    await service.stop('SIGTERM');
    return { code: service.process.exitCode, inTime: performance.now() - asked < 5000 };
  }

  it('ends an idle service with code 0 within 5 s', async () => {
    const { url } = await newDatabase();
    const service = await start({ DATABASE_URL: url });
    expect(await terminate(service)).toEqual({ code: 0, inTime: true });
    expect(service.output()).toMatch('SIGTERM: stopping.');
    expect(service.output()).not.toMatch(STACK);
  });

  it('ends it although callers keep connections open, in the middle of a request too, and nobody takes its log', async () => {
    const { url } = await newDatabase();
    const service = await start({ DATABASE_URL: url });
    const { hostname, port } = new URL(service.api.url);
    const [silent, halfway] = [connect(Number(port), hostname), connect(Number(port), hostname)];
    for (const socket of [silent, halfway]) {
      socket.on('error', () => undefined);
      closers.push(() => Promise.resolve(socket.destroy()));
      await once(socket, 'connect');
    }
    halfway.write(
      'POST /lora/enable HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nContent-Type: application/json\r\n\r\n{',
    );
    expect((await service.api.get('/lora/status')).status).toBe(200);
    for (const log of [service.process.stdout, service.process.stderr]) log?.destroy();
    expect(await terminate(service)).toEqual({ code: 0, inTime: true });
  });

  it('ends it although the log is held, and a command waits for it', async () => {
    const database = await newDatabase();
    const service = await start({ DATABASE_URL: database.url });
    const lock = await lockHead(database);
    closers.push(() => lock.release());
    const waiting = service.api.post('/lora/disable').then(
      ({ status }) => status,
      () => 'no answer',
    );
    await lock.waiters(1);
    expect(await terminate(service)).toEqual({ code: 0, inTime: true });
    expect([503, 'no answer']).toContain(await waiting);
  });

  it('answers first what is under way', async () => {
    const database = await newDatabase();
    const service = await start({ DATABASE_URL: database.url });
    const lock = await lockHead(database);
    closers.push(() => lock.release());
    const waiting = service.api.post('/lora/disable').then(
      ({ status, body }) => ({ status, enabled: body.enabled }),
      () => 'no answer',
    );
    await lock.waiters(1);
    service.process.kill('SIGTERM');
    await eventually(() => service.output().includes('SIGTERM: stopping.'));
    await lock.release();
    expect(await waiting).toEqual({ status: 200, enabled: false });
    await service.stop();
    expect(service.process.exitCode).toBe(0);
  });
});
