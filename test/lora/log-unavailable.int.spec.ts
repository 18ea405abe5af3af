import type { IncomingMessage, ServerResponse } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type pg from 'pg';

import { type TestApp, startApp } from '../support/app.js';
import { eventually, type Reply } from '../support/http.js';
import { createDatabase } from '../support/database.js';
import { expectProblem, headOf, short } from '../support/problem.js';
import { openGate } from '../support/tcp-gate.js';

let service: TestApp;
/** Whoever holds what the service needs. */
let holder: pg.Client;
/** How long each call took, from its arrival to its answer; the client's own way is not in it. */
let took: number[] = [];
/** What a busy machine adds to that. */
const stalls = monitorEventLoopDelay({ resolution: 10 });
let made = 0;
let fleet: string;

beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
  holder = await service.database.connect();
  stalls.enable();
  const server = service.app.getHttpServer();
  server.prependListener('request', (_: IncomingMessage, response: ServerResponse) => {
    const arrived = performance.now();
    response.once('finish', () => took.push(performance.now() - arrived));
  });
});
beforeEach(async () => {
  took = [];
  stalls.reset();
  fleet = `fleet-${(made += 1)}`;
  await service.api.send('PUT', `/fleets/${fleet}`, { body: { adapter_version: 'v1' } });
});
afterEach(async () => {
  await release();
  expect(Math.max(...took) - stalls.max / 1e6).toBeLessThan(2_000);
});
afterAll(async () => {
  stalls.disable();
  await holder.end();
  await service.close();
});

const hold = (lock: string) => holder.query(`begin; ${lock}`);
const HEAD = 'select from log_head for update';
const release = () => holder.query('rollback');
const command = (name: string, body?: object, headers: Record<string, string> = {}): Promise<Reply> =>
  service.api.post(`/lora/${name}?fleet=${fleet}`, body, headers);
const accepted = (reply: Reply, body: object) => {
  expect(short(reply)).toMatchObject({ status: 200, body });
};

/** A command that can be sent again, word by word. */
interface Call {
  readonly path: string;
  /** Chosen by the caller; else the service gives it one. */
  readonly key?: string;
  readonly send: (headers?: Record<string, string>) => Promise<Reply>;
}

const call = (path: string, body?: object, key?: string, method = 'POST'): Call => ({
  path: path.replace(/\?.*/, ''),
  key,
  send: (headers = {}) =>
    service.api.send(method, path, {
      body,
      headers: key === undefined ? headers : { 'idempotency-key': key, ...headers },
    }),
});

/** Every command. */
const calls = (): readonly Call[] => [
  call(`/lora/disable?fleet=${fleet}`),
  call(`/lora/disable?fleet=${fleet}`, undefined, `${fleet}-kill`),
  call('/lora/disable?fleet=*'),
  call(`/lora/enable?fleet=${fleet}`, {}, `${fleet}-enable`),
  call(`/lora/rollback?fleet=${fleet}`),
  call(`/lora/deploy?fleet=${fleet}`, { adapter_version: 'v3' }),
  call(`/adapters/v3/deploy?fleet=${fleet}`),
  call(`/fleets/${fleet}-new`, undefined, undefined, 'PUT'),
];

const SAYS = {
  none: 'Nothing was changed',
  unknown: 'send it again with the same Idempotency-Key',
} as const;

/** 503 with all that the contract wants of it; that it comes within 2 s is looked at after each test. */
async function expectUnavailable({ path, key, send }: Call): Promise<Reply> {
  const reply = await send();
  expectProblem(reply, 'log-unavailable', path);
  expect(reply.body.idempotency_key).toMatch(key ?? /^[0-9a-f-]{36}$/);
  expect(reply.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
  const outcome = String(reply.body.outcome);
  expect(Object.keys(SAYS)).toContain(outcome);
  expect(reply.body.detail).toMatch(new RegExp(SAYS[outcome as keyof typeof SAYS], 'i'));
  return reply;
}

/** Waits until nothing that a service has sent to the log is under way there. */
async function quiet(): Promise<void> {
  await eventually(async () => {
    const busy = await service.database.query(
      `select from pg_stat_activity where datname = current_database() and state <> 'idle'
       and application_name like 'lora-control-plane%lane'`,
    );
    return busy.length === 0;
  });
}

/** How many events of each fleet the command of this key has. */
async function eventsOf(key: unknown): Promise<number[]> {
  const rows = await service.database.query<{ events: number }>(
    `select count(*)::int as events from events where body::jsonb ->> 'idempotency_key' = $1 group by fleet`,
    [key],
  );
  return rows.map(({ events }) => events);
}

/**
 * What was said of a command that could not be taken was true: of `none` nothing is in the log, and what was `unknown`
 * is there once in each of its fleets or not at all, also after it was sent again with its key.
 */
async function expectSettled(
  tried: readonly { readonly sent: Call; readonly reply: Reply }[],
): Promise<void> {
  await quiet();
  for (const { sent, reply } of tried) {
    const { idempotency_key: key } = reply.body;
    const there = await eventsOf(key);
    if (String(reply.body.outcome) === 'none') {
      expect({ sent: sent.path, there }).toEqual({ sent: sent.path, there: [] });
      continue;
    }
    expect({ sent: sent.path, there: new Set(there) }).toEqual({
      sent: sent.path,
      there: new Set(there.length === 0 ? [] : [1]),
    });
    const again = await sent.send({ 'idempotency-key': String(key) });
    expect(again.headers.get('idempotency-replayed')).toBe(there.length === 0 ? null : 'true');
    if (there.length > 0) expect([200, 201]).toContain(again.status);
    const then = await eventsOf(key);
    if (there.length > 0) expect(then).toEqual(there);
    // What had not happened may be refused by now, for what has.
    else expect(new Set(then)).toEqual(new Set([200, 201].includes(again.status) ? [1] : []));
  }
}

/** Sends every command while somebody holds what the log needs. */
async function expectNoneTaken(): Promise<{ readonly sent: Call; readonly reply: Reply }[]> {
  const tried = await Promise.all(
    calls().map(async (sent) => ({ sent, reply: await expectUnavailable(sent) })),
  );
  // The server has aborted what it had; only what was under way at its deadline is not known.
  expect(tried[0]?.reply.body.outcome).toBe('none');
  return tried;
}

describe('a log that cannot take the command', () => {
  it('is 503 with the key, and what was said of it holds; after it the next command is taken', async () => {
    await hold(HEAD);
    const tried = await expectNoneTaken();
    await release();
    await expectSettled(tried);

    const before = await headOf(service.database);
    const kill = await command('disable', undefined, { 'idempotency-key': `${fleet}-next` });
    accepted(kill, { enabled: false, generation: before + 1 });
    expect(kill.headers.has('idempotency-replayed')).toBe(false);
    accepted(await command('enable'), { enabled: true, generation: before + 2 });
    expect(await headOf(service.database)).toBe(before + 2);
  });

  it.each(['disable', 'enable', 'rollback', 'deploy'])(
    'is 503 for a %s alone, aborted by the server',
    async (name) => {
      const before = await headOf(service.database);
      const body = name === 'deploy' ? { adapter_version: 'v3' } : undefined;
      const sent = call(`/lora/${name}?fleet=${fleet}`, body, `${fleet}-alone`);
      await hold(HEAD);
      const reply = await expectUnavailable(sent);
      expect(reply.body.outcome).toBe('none');
      await release();
      await quiet();
      expect(await headOf(service.database)).toBe(before);
      // The same key is not used up.
      const again = await sent.send();
      accepted(again, { generation: before + 1 });
      expect(again.headers.has('idempotency-replayed')).toBe(false);
    },
  );

  it('is 503 when the state cannot be read', async () => {
    await hold('lock table fleet_states in access exclusive mode');
    const tried = await expectNoneTaken();
    await release();
    await expectSettled(tried);
    accepted(await command('disable'), { enabled: false });
  });

  it('is 503 when the events can be neither written nor read, for an enable that names a version', async () => {
    const sent = call(`/lora/enable?fleet=${fleet}`, { adapter_version: 'v9' }, `${fleet}-enable`);
    await hold('lock table events in access exclusive mode');
    const reply = await expectUnavailable(sent);
    expect(reply.body.outcome).toBe('none');
    await release();
    await expectSettled([{ sent, reply }]);
    accepted(await sent.send(), { active_adapter_version: 'v9' });
  });

  it('is 200 when it was taken and the past cannot be read, and the key brings the whole answer', async () => {
    const before = await headOf(service.database);
    const sent = call(`/lora/enable?fleet=${fleet}`, { adapter_version: 'v9' }, `${fleet}-enable`);
    const reader = await service.database.connect();
    try {
      // The append stands between two locks: it has written its event when the second one begins to wait for it.
      await hold('lock table command_keys in share mode');
      const replying = sent.send();
      await lockWaits('append_batch');
      const locking = reader.query('begin; lock table events in access exclusive mode');
      await lockWaits('lock table events');
      await release();
      await locking;
      const reply = await replying;
      accepted(reply, { active_adapter_version: 'v9', generation: before + 1 });
      expect(reply.body.notice).toBe(
        'What rests on the past is left out of this answer: it cannot be read now.',
      );
    } finally {
      await reader.end();
    }
    expect(await headOf(service.database)).toBe(before + 1);
    const again = await sent.send();
    accepted(again, { active_adapter_version: 'v9', generation: before + 1 });
    expect(again.body.notice).toBe(`v9 was never active in fleet ${fleet}.`);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(await headOf(service.database)).toBe(before + 1);
  });

  it('is 200 for a PUT of a fleet that is there: memory has the answer', async () => {
    await hold('lock table events in access exclusive mode');
    const reply = await service.api.send('PUT', `/fleets/${fleet}`);
    accepted(reply, { fleet, enabled: true, active_adapter_version: 'v1' });
    expect(reply.body.notice).toMatch('nothing was changed');
  });

  it('is 503 when the fleets cannot be named, for a kill of one that does not exist', async () => {
    await hold('lock table fleet_states in access exclusive mode');
    await expectUnavailable(call('/lora/disable?fleet=no-such'));
  });
});

it('whoever looks after the service is told why, once in a while', () => {
  const told = service.logged.filter((line) => line.includes('canceling statement due to statement timeout'));
  expect(told.length).toBeGreaterThan(0);
  expect(told[0]).toMatch(/^The log .* \(57014\)$/);
});

/** Waits until a statement with this text waits for a lock. */
async function lockWaits(text: string): Promise<void> {
  await eventually(async () => {
    const waiting = await service.database.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
       and strpos(query, $1) > 0`,
      [text],
    );
    return waiting.length > 0;
  });
}

it('what was answered with the outcome `none` never happens later, when the connection comes back', async () => {
  const database = await createDatabase();
  const direct = new URL(database.url);
  const gate = await openGate(direct.hostname, Number(direct.port));
  const through = new URL(database.url);
  through.hostname = '127.0.0.1';
  through.port = String(gate.port);
  const behindGate = await startApp({ DATABASE_URL: through.href }, database);
  const { api } = behindGate;
  try {
    await api.post('/lora/disable');
    const before = await headOf(database);

    // The lane loses both its connections and cannot get a new one until its command has been given up.
    gate.shut();
    await database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name like 'lora-control-plane%lane'`,
    );
    await eventually(
      async () =>
        (
          await database.query(
            `select from pg_stat_activity
             where datname = current_database() and application_name like 'lora-control-plane%lane'`,
          )
        ).length === 0,
    );
    // Its end has come through by the time another connection has answered.
    for (let reads = 0; reads < 3; reads++) await api.get('/lora/status?consistency=strong');
    const giving = api.post('/lora/enable', { reason: 'given_up' });
    await eventually(() => gate.waiting() > 0);
    const given = await giving;
    expectProblem(given, 'log-unavailable', '/lora/enable');
    gate.open();

    // Stands behind whatever the lane still did with the command that it had given up.
    await api.post('/lora/rollback', { reason: 'next' });
    const { body } = await api.get('/lora/history?reason=given_up');
    if (String(given.body.outcome) === 'none') {
      expect(body.events).toStrictEqual([]);
      expect(await headOf(database)).toBe(before + 1);
    } else {
      // A busy machine may have sent it before the loss was noticed: then its key settles it, once.
      expect(given.body.outcome).toBe('unknown');
      const key = { 'Idempotency-Key': String(given.body.idempotency_key) };
      await api.post('/lora/enable', { reason: 'given_up' }, key);
      const settled = await api.get('/lora/history?reason=given_up');
      expect(settled.body.events).toHaveLength(1);
    }
  } finally {
    await behindGate.close();
    await gate.close();
    await database.drop();
  }
});
