import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';

import { OwnPostgres } from '../support/agreement-postgres.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { lockHead } from '../support/head-lock.js';
import { type Api, eventually, type Reply } from '../support/http.js';
import { Metrics } from '../support/metrics.js';
import { expectProblem, headOf } from '../support/problem.js';
import { type Replica, type ReplicaOptions, startReplica } from '../support/replica.js';
import { EventStream, idOf } from '../support/sse.js';
import { openGate, type TcpGate } from '../support/tcp-gate.js';

/** How soon a replica is itself again; the machine of a test may be busy. */
const RECOVERY_MS = 3_000;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const envOf = (url: string): Record<string, string> => ({ DATABASE_URL: url, ACTIVE_LORA_ADAPTER: 'v1' });

async function start(url: string, options: ReplicaOptions = {}): Promise<Replica> {
  const replica = await startReplica({ env: envOf(url), ...options });
  ends.push(() => replica.stop('SIGKILL'));
  return replica;
}

async function database(): Promise<TestDatabase> {
  const made = await createDatabase();
  ends.push(() => made.drop());
  return made;
}

/** A way to the database that can swallow everything, and its address. */
async function gateTo({ url }: { readonly url: string }): Promise<{ gate: TcpGate; url: string }> {
  const through = new URL(url);
  const gate = await openGate(through.hostname, Number(through.port));
  ends.push(() => gate.close());
  through.hostname = '127.0.0.1';
  through.port = String(gate.port);
  return { gate, url: through.href };
}

/** SIGSTOP to the postmaster and all it has started. @returns how to let them go on */
async function hang(postgres: OwnPostgres): Promise<() => void> {
  const [checkpointer] = await postgres.query<{ pid: number }>(
    "select pid from pg_stat_activity where backend_type = 'checkpointer'",
  );
  const stat = await readFile(`/proc/${checkpointer?.pid ?? 0}/stat`, 'utf8');
  const postmaster = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  process.kill(postmaster, 'SIGSTOP');
  const children = await readFile(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8');
  const all = [postmaster, ...children.trim().split(' ').map(Number)];
  const signal = (name: NodeJS.Signals): void => {
    for (const pid of all) {
      try {
        process.kill(pid, name);
      } catch {
        // A session that has ended.
      }
    }
  };
  signal('SIGSTOP');
  let hangs = true;
  const goOn = (): void => {
    if (hangs) signal('SIGCONT');
    hangs = false;
  };
  ends.push(goOn);
  return goOn;
}

async function listen({ api }: Replica, headers: Record<string, string> = {}): Promise<EventStream> {
  const stream = await EventStream.open(api.url, '/lora/stream', headers);
  ends.push(() => {
    stream.close();
  });
  return stream;
}

const isReady = async ({ api }: Replica): Promise<boolean> => (await api.get('/health/ready')).status === 200;
const isStale = async ({ api }: Replica): Promise<boolean> =>
  (await Metrics.of(api)).value('lora_stale') === 1;

async function timed<T>(work: () => Promise<T>): Promise<T & { readonly took: number }> {
  const began = performance.now();
  return { ...(await work()), took: performance.now() - began };
}

function say(what: string, since: number): void {
  process.stdout.write(`${what}: ${Math.round(performance.now() - since)} ms\n`);
}

/** Every command is a 503 within 2 s that says whether it may have happened, and under which key. */
async function expectCommandsUnavailable(api: Api): Promise<void> {
  const calls: readonly (readonly [string, string, object?])[] = [
    ['POST', '/lora/disable'],
    ['POST', '/lora/disable?fleet=*'],
    ['POST', '/lora/enable', { adapter_version: 'v1' }],
    ['POST', '/lora/rollback'],
    ['POST', '/lora/deploy', { adapter_version: 'v9' }],
    ['PUT', '/fleets/made-in-an-outage'],
  ];
  const replies = await Promise.all(
    calls.map(([method, path, body]) => timed(() => api.send(method, path, { body }))),
  );
  for (const [index, reply] of replies.entries()) {
    expectProblem(reply, 'log-unavailable', calls[index]?.[1].split('?')[0] ?? '');
    expect(reply.body).toMatchObject({
      outcome: expect.stringMatching(/^(none|unknown)$/) as unknown,
      idempotency_key: expect.stringMatching(/^[0-9a-f-]{36}$/) as unknown,
    });
    expect(reply.headers.get('retry-after')).toMatch(/^\d+$/);
    // The deadline is 1.8 s; on a busy machine the way there and back takes its time, too.
    expect(reply.took).toBeLessThan(3_000);
  }
}

/** Reads say what was known, and that it may be old. */
async function expectStaleReads(api: Api, known: Reply, confirmedSince: number): Promise<void> {
  const tag = known.headers.get('etag') ?? '';
  const plain = timed(() => api.get('/lora/status'));
  const sameTag = timed(() => api.get('/lora/status', { 'if-none-match': tag }));
  const waiting = timed(() => api.get('/lora/status', { 'if-none-match': tag, prefer: 'wait=1' }));
  const strong = timed(() => api.get('/lora/status?consistency=strong', { 'if-none-match': tag }));
  const eventual = timed(() => api.get('/lora/status?consistency=eventual'));
  const unknown = timed(() => api.get('/lora/status?fleet=nobody-knows'));
  for (const reply of await Promise.all([plain, sameTag, waiting])) {
    const { as_of: asOf, stale, ...state } = reply.body;
    expect([reply.status, stale, reply.headers.get('etag')]).toStrictEqual([200, true, tag]);
    expect(state).toStrictEqual(known.body);
    expect(reply.headers.get('warning')).toMatch(/^110\b/);
    expect(asOf).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/);
    expect(Date.parse(String(asOf))).toBeGreaterThanOrEqual(confirmedSince);
    expect(Date.parse(String(asOf))).toBeLessThan(Date.now());
    expect(reply.took).toBeLessThan(4_000);
  }
  expectProblem(await strong, 'log-unavailable', '/lora/status');
  expect((await strong).body).not.toHaveProperty('outcome');
  expect(await eventual).toMatchObject({ status: 200, body: known.body });
  expect((await eventual).body).not.toHaveProperty('stale');
  // That there is no such fleet only the log can tell.
  expectProblem(await unknown, 'log-unavailable', '/lora/status');
}

async function expectOutage(replica: Replica, known: Reply, confirmedSince: number): Promise<void> {
  const { api } = replica;
  await Promise.all([
    expectCommandsUnavailable(api),
    expectStaleReads(api, known, confirmedSince),
    api.get('/health/ready').then((reply) => {
      expect(reply).toMatchObject({ status: 503, body: { status: 'not-ready' } });
    }),
    api.get('/health').then((reply) => {
      expect(reply).toMatchObject({ status: 200, body: { status: 'degraded', components: { log: 'down' } } });
    }),
    timed(() => api.get('/health/live')).then((reply) => {
      expect(reply).toMatchObject({ status: 200, body: { status: 'live' } });
      expect(reply.took).toBeLessThan(1_000);
    }),
    listen(replica).then(async (refused) => {
      await refused.end();
      expect([refused.status, JSON.parse(refused.text)]).toMatchObject([503, { code: 'log-unavailable' }]);
    }),
  ]);
  await eventually(() => isStale(replica));
}

/** The database is back: everything works again, in the same process. */
async function expectRecovery(replica: Replica, since: number): Promise<void> {
  const { api } = replica;
  await eventually(() => isReady(replica));
  say('ready again', since);
  const read = await eventually(async () => {
    const reply = await api.get('/lora/status?consistency=strong');
    return reply.status === 200 && reply;
  });
  say('reads again', since);
  expect(performance.now() - since).toBeLessThan(RECOVERY_MS);
  expect(read.body).not.toHaveProperty('stale');
  // Ready says that it could take a kill: the first one, not the second.
  const killed = await timed(() => api.post('/lora/disable', { reason: 'after the outage' }));
  expect(killed).toMatchObject({ status: 200, body: { enabled: false } });
  const enabled = await timed(() => api.post('/lora/enable', { adapter_version: 'v1' }));
  expect(enabled).toMatchObject({ status: 200, body: { enabled: true, active_adapter_version: 'v1' } });
  say('takes commands again', since);
  const stream = await listen(replica);
  expect((await stream.first(1))[0]?.id).toBe(idOf(enabled));
  expect(await isStale(replica)).toBe(false);
  expect(replica.process.exitCode).toBeNull();
}

describe('a replica that is cut off from the database', () => {
  it('says so, and its engines hear of a kill from another replica within 5 s', async () => {
    const log = await database();
    const { gate, url } = await gateTo(log);
    const [cut, other] = await Promise.all([start(url), start(log.url)]);
    const known = await cut.api.get('/lora/status');
    const engines = await Promise.all(Array.from({ length: 20 }, () => listen(cut)));
    for (const engine of engines) await engine.first(1);

    const confirmedSince = Date.now() - 2_000;
    gate.swallow();
    const cutAt = performance.now();
    await other.api.send('PUT', '/fleets/fresh');
    const killed = await other.api.post('/lora/disable', { reason: 'while one is cut off' });
    expect(killed.status).toBe(200);
    const heard = engines.map(async (engine) => {
      const took = (await engine.end()) - cutAt;
      expect(took).toBeLessThan(5_000);
      const last = engine.events.at(-1);
      expect(last).toMatchObject({ event: 'stale', id: undefined });
      expect(Date.parse(String(last?.data.as_of))).toBeGreaterThanOrEqual(confirmedSince);
      expect(engine.states).toHaveLength(1);
      const again = await listen(other, { 'last-event-id': engine.states[0]?.id ?? '' });
      const [first] = await again.first(1);
      expect(first).toMatchObject({ event: 'state', id: idOf(killed), data: { enabled: false } });
      return (first?.at ?? Infinity) - cutAt;
    });
    const outage = expectOutage(cut, known, confirmedSince);
    const slowest = Math.max(...(await Promise.all(heard)));
    expect(slowest).toBeLessThan(5_000);
    process.stdout.write(`cut off -> kill heard from another replica: ${Math.round(slowest)} ms\n`);
    await outage;
    // A fleet that was made meanwhile is not unknown here: that only the log can tell.
    const [fresh, old] = await Promise.all(
      ['?fleet=fresh', ''].map((query) => cut.api.get(`/lora/status${query}`)),
    );
    if (fresh) expectProblem(fresh, 'log-unavailable', '/lora/status');
    expect(old?.body).toMatchObject({ stale: true, enabled: true });

    gate.open();
    const since = performance.now();
    const seen = await eventually(async () => {
      const reply = await cut.api.get('/lora/status?consistency=strong');
      return reply.status === 200 && reply;
    });
    expect(seen.body.enabled).toBe(false);
    await expectRecovery(cut, since);
    expect((await cut.api.get('/lora/status?fleet=fresh')).status).toBe(200);
  });

  it('takes the first command after it, though it had none meanwhile and every connection was swallowed', async () => {
    const log = await database();
    const { gate, url } = await gateTo(log);
    const [one, two] = await Promise.all([start(url), start(url)]);
    // So that every connection is there, the pool's too.
    for (const { api } of [one, two]) {
      await api.post('/lora/enable', { adapter_version: 'v1' });
      await api.get('/lora/history');
    }
    gate.swallow();
    const history = timed(() => one.api.get('/lora/history'));
    history.catch(() => undefined);
    await eventually(async () => (await isStale(one)) && (await isStale(two)));
    gate.open();
    const since = performance.now();
    await Promise.all([one, two].map((replica) => eventually(() => isReady(replica))));
    say('both ready again', since);
    const [killed, enabled] = await Promise.all([
      one.api.post('/lora/disable?fleet=*'),
      two.api.post('/lora/enable', { adapter_version: 'v1' }),
    ]);
    say('both have answered a command', since);
    // Which of the two came first nobody can tell.
    expect([killed.status, [200, 409].includes(enabled.status)]).toStrictEqual([200, true]);
    expect(await one.api.send('PUT', '/fleets/new')).toMatchObject({ status: 201 });
    expect(await two.api.post('/lora/disable')).toMatchObject({ status: 200 });
    // A connection of the pool is given up after 6 s.
    expect(await history).toMatchObject({ status: 503 });
    expect((await history).took).toBeLessThan(8_000);
    expect(await one.api.get('/lora/history')).toMatchObject({ status: 200 });
  });

  it('while it starts, starts when the database is there again', async () => {
    const log = await database();
    const { gate, url } = await gateTo(log);
    const holder = await log.connect();
    ends.push(() => holder.end());
    await holder.query('select pg_advisory_lock(4170)');
    const replica = await start(url, { until: 'listening' });
    await eventually(async () => {
      const asking = await log.query(
        "select from pg_stat_activity where query like '%pg_try_advisory_lock%' and pid <> pg_backend_pid()",
      );
      return asking.length > 0;
    });
    gate.swallow();
    await holder.query('select pg_advisory_unlock(4170)');
    gate.open();
    const ready = eventually(() => isReady(replica)).then(() => 'ready');
    expect(await Promise.race([ready, pause(10_000, 'late', { ref: false })])).toBe('ready');
  });
});

describe('the database', () => {
  let postgres: OwnPostgres;
  /** The same one through all of it. */
  let replica: Replica;
  beforeAll(async () => {
    postgres = await OwnPostgres.create();
    await postgres.query('create database late');
    const through = new URL(postgres.url);
    through.pathname = '/late';
    await postgres.stopImmediate();
    replica = await startReplica({ env: envOf(through.href), until: 'listening' });
  });
  afterAll(async () => {
    await replica.stop('SIGKILL');
    await postgres.remove();
  });
  afterEach(async () => {
    // Whatever has become of a test, the next one finds a server.
    await postgres.start();
  });

  async function outage(begin: () => Promise<void>): Promise<void> {
    const confirmedSince = Date.now() - 2_000;
    const known = await replica.api.get('/lora/status');
    const engine = await listen(replica);
    await engine.first(1);
    await begin();
    const began = performance.now();
    await expectOutage(replica, known, confirmedSince);
    expect((await engine.end()) - began).toBeLessThan(5_000);
    expect(engine.events.map(({ event }) => event)).toStrictEqual(['state', 'stale']);
  }

  it('is not there yet when a replica starts, who waits for it', async () => {
    const { api } = replica;
    const reads = ['/lora/status', '/lora/status?consistency=strong', '/lora/status?consistency=eventual'];
    reads.push('/lora/status?at=2026-01-01T00:00:00Z', '/fleets', '/lora/history', '/lora/stream');
    const readAll = async (): Promise<void> => {
      const ask = async (path: string): Promise<void> => {
        expectProblem(await api.get(path), 'log-unavailable', path.split('?')[0] ?? '');
      };
      await Promise.all(reads.map(ask));
    };
    await Promise.all([readAll(), readAll(), expectCommandsUnavailable(api)]);
    expect((await api.get('/health/live')).status).toBe(200);
    expect((await api.get('/health/ready')).status).toBe(503);
    expect((await api.get('/health')).body).toMatchObject({ status: 'degraded', flags_differ: null });
    expect(await isStale(replica)).toBe(true);
    // Those who ask must not keep it from starting.
    await readAll();
    await postgres.start();
    const since = performance.now();
    await eventually(() => isReady(replica));
    say('ready after the database came', since);
    expect(performance.now() - since).toBeLessThan(5_000);
    const first = { generation: 1, active_adapter_version: 'v1' };
    expect(await api.get('/lora/status')).toMatchObject({ status: 200, body: first });
    expect((await api.get('/lora/history')).status).toBe(200);
    await expectRecovery(replica, performance.now());
  });

  it('stops at once and comes back, under a replica that is only seconds old', async () => {
    await outage(() => postgres.stopImmediate());
    await postgres.start();
    await expectRecovery(replica, performance.now());
    expect((await replica.api.get('/lora/history')).status).toBe(200);
  });

  it('hangs and goes on, under a replica that has streams', async () => {
    let goOn = (): void => undefined;
    await outage(async () => {
      goOn = await hang(postgres);
    });
    goOn();
    await expectRecovery(replica, performance.now());
  });

  it('hangs when the replica is told to stop, which exits within 5 s all the same', async () => {
    await replica.api.get('/lora/history');
    const goOn = await hang(postgres);
    await eventually(async () => !(await isReady(replica)));
    const began = performance.now();
    const ended = once(replica.process, 'exit');
    replica.process.kill('SIGTERM');
    const late = pause(6_000, 'late' as const, { ref: false });
    const end = await Promise.race([ended, late]);
    goOn();
    expect(end).not.toBe('late');
    say('SIGTERM while the database hangs -> exit', began);
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});

describe('SIGTERM', () => {
  it('ends streams and waiting reads, answers commands that are under way, and exits within 5 s', async () => {
    const log = await database();
    const replica = await start(log.url);
    const tag = (await replica.api.get('/lora/status')).headers.get('etag') ?? '';
    const engine = await listen(replica);
    await engine.first(1);
    const waiting = replica.api.get('/lora/status', { prefer: 'wait=60', 'if-none-match': tag });
    await eventually(async () => (await Metrics.of(replica.api)).value('lora_streams_open') === 2);
    const lock = await lockHead(log);
    ends.push(() => lock.release());
    const killed = replica.api.post('/lora/disable', { reason: 'under way' });
    await lock.waiters(1);
    const began = performance.now();
    const stopped = replica.stop('SIGTERM');
    await engine.end();
    expect([200, 304]).toContain((await waiting).status);
    await lock.release();
    expect(await killed).toMatchObject({ status: 200, body: { enabled: false, last_reason: 'under way' } });
    await stopped;
    say('SIGTERM -> exit', began);
    expect(performance.now() - began).toBeLessThan(5_000);
    expect(replica.process.exitCode).toBe(0);
    expect(await headOf(log)).toBe(2);
    await expect(replica.api.get('/health/live')).rejects.toThrow();
  });

  it('ends a first start that waits for the head, before which there is nothing to tell', async () => {
    const log = await database();
    const lock = await lockHead(log);
    ends.push(() => lock.release());
    const replica = await start(log.url, { until: 'listening' });
    await lock.waiters(1);
    const queries = ['', '?consistency=strong', '?consistency=eventual', '?at=2026-01-01T00:00:00Z'];
    const replies = await Promise.all(queries.map((query) => replica.api.get(`/lora/status${query}`)));
    const began = performance.now();
    await replica.stop('SIGTERM');
    say('SIGTERM in the first start -> exit', began);
    expect(performance.now() - began).toBeLessThan(5_000);
    // The fleet was about to be made: that there is none must not be said.
    for (const [index, reply] of replies.entries())
      expect([queries[index], reply.status, reply.body.code]).toStrictEqual([
        queries[index],
        503,
        'log-unavailable',
      ]);
  });
});
