import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { lockHead } from '../support/head-lock.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/http.js';
import { Metrics } from '../support/metrics.js';
import { headOf } from '../support/problem.js';
import { type Replica, startReplica } from '../support/replica.js';
import { EventStream, idOf } from '../support/sse.js';

const MAINTAIN = fileURLToPath(new URL('../../dist/src/maintain.main.js', import.meta.url));

let database: TestDatabase;
let replica: Replica;
beforeAll(async () => {
  database = await createDatabase();
  replica = await startReplica({ env: { DATABASE_URL: database.url, ACTIVE_LORA_ADAPTER: 'v1' } });
  await replica.api.post('/lora/deploy', { adapter_version: 'v2' });
  await replica.api.post('/lora/disable', { reason: 'before' });
});
afterAll(async () => {
  await replica.stop();
  await database.drop();
});

/** `npm run log:adopt`, as an operator runs it. */
function adopt(
  url = database.url,
  ...words: string[]
): Promise<{ code: number; output: string; errors: string }> {
  const env = { PATH: process.env.PATH, DATABASE_URL: url };
  return new Promise((resolve) => {
    execFile(process.execPath, [MAINTAIN, 'adopt', ...words], { env }, (error, output, errors) => {
      resolve({ code: Number(error?.code ?? 0), output, errors });
    });
  });
}

const logId = async (): Promise<string> =>
  (await database.query<{ log_id: string }>('select log_id from log_head'))[0]?.log_id ?? '';
const adoptions = () =>
  database.query<{ log_id: string; previous_log_id: string; position: number }>(
    'select log_id, previous_log_id, position::int from log_adoptions order by adopted_at',
  );

describe('log:adopt', () => {
  it('names the log anew, and every running replica follows without a restart', async () => {
    const before = await logId();
    const old = await replica.api.get('/lora/status');
    const oldTag = old.headers.get('etag') ?? '';
    const engine = await EventStream.open(replica.api.url);
    await engine.first(1);
    const waiting = replica.api.get('/lora/status', { prefer: 'wait=25', 'if-none-match': oldTag });
    const told = (await Metrics.of(replica.api)).value('lora_kill_to_stream_seconds_count');
    const position = await headOf(database);

    const { code, output } = await adopt();
    const after = await logId();
    expect([code, after === before]).toStrictEqual([0, false]);
    for (const fact of [before, after, String(position)]) expect(output).toContain(fact);
    expect(await adoptions()).toStrictEqual([{ log_id: after, previous_log_id: before, position }]);

    // The same state under another name: nobody's cursor of the old history is current.
    const now = await replica.api.get('/lora/status', { 'if-none-match': oldTag });
    expect(now.status).toBe(200);
    expect(now.body).toStrictEqual({ ...old.body, log_id: after });
    expect(idOf(now)).toBe(`${after.slice(0, 8)}-${position}`);
    const event = await engine.withId(idOf(now));
    expect(event).toMatchObject({ event: 'state', data: { log_id: after, enabled: false } });
    expect(await waiting).toMatchObject({ status: 200, body: { log_id: after } });
    // Nobody was killed now.
    expect((await Metrics.of(replica.api)).value('lora_kill_to_stream_seconds_count')).toBe(told);

    expect((await replica.api.post('/lora/enable', {}, { 'if-match': oldTag })).status).toBe(412);
    const enabled = await replica.api.post('/lora/enable', {}, { 'if-match': `"${idOf(now)}"` });
    expect(enabled).toMatchObject({ status: 200, body: { generation: position + 1, log_id: after } });
    await engine.withId(idOf(enabled));
    expect(engine.endedAt).toBeUndefined();
    engine.close();
    expect((await replica.api.get('/health')).body).toMatchObject({
      status: 'ok',
      components: { log: 'up' },
    });
    expect(replica.process.exitCode).toBeNull();
  });

  it('can be done again; each adoption is kept', async () => {
    const before = await adoptions();
    expect((await adopt()).code).toBe(0);
    const after = await adoptions();
    expect(after).toHaveLength(before.length + 1);
    expect(after.slice(0, -1)).toStrictEqual(before);
    expect(after.at(-1)?.previous_log_id).toBe(before.at(-1)?.log_id);
    expect((await replica.api.get('/lora/status')).body.log_id).toBe(after.at(-1)?.log_id);
    await expect(database.query('delete from log_adoptions')).rejects.toThrow(/append-only/);
  });

  it('that is interrupted while it waits for the head ends, and never adopts', async () => {
    const before = await logId();
    const head = await lockHead(database);
    const env = { PATH: process.env.PATH, DATABASE_URL: database.url };
    const waiting = spawn(process.execPath, [MAINTAIN, 'adopt'], {
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const ended = once(waiting, 'exit');
    const errors = text(waiting.stderr);
    const maintenance = () =>
      database.query<{ waits: boolean }>(
        `select wait_event_type = 'Lock' as waits from pg_stat_activity
         where datname = current_database() and application_name like '% maintenance'`,
      );
    try {
      await eventually(async () => (await maintenance()).some(({ waits }) => waits));
      waiting.kill('SIGINT');
      expect(await ended).toStrictEqual([2, null]);
      expect(await errors).toContain('Cannot adopt: SIGINT: stopped, nothing was changed.');
      await eventually(async () => (await maintenance()).length === 0);
    } finally {
      waiting.kill('SIGKILL');
      await head.release();
    }
    expect(await logId()).toBe(before);
    expect(await adoptions()).toHaveLength(2);
  });

  it('that waits for the head goes on when it is free', async () => {
    const head = await lockHead(database);
    const adopted = adopt();
    try {
      // Longer than one wait for the head.
      const seen = new Set<string>();
      await eventually(async () => {
        const rows = await database.query<{ query_start: string }>(
          `select query_start::text from pg_stat_activity where datname = current_database()
           and application_name like '% maintenance' and wait_event_type = 'Lock'`,
        );
        for (const { query_start } of rows) seen.add(query_start);
        return seen.size > 1;
      });
    } finally {
      await head.release();
    }
    expect((await adopted).code).toBe(0);
    expect(await adoptions()).toHaveLength(3);
  });

  it('that cannot be done says why, and changes nothing', async () => {
    const before = await logId();
    const service = new URL(database.url);
    service.pathname = '/nothing-here';
    const { code, errors } = await adopt(service.href);
    expect([code, errors]).toStrictEqual([2, expect.stringMatching(/^Cannot adopt: .*nothing-here/)]);
    expect((await adopt('nonsense')).code).toBe(2);
    const beyond = (await headOf(database)) + 1;
    for (const [words, why] of [
      [[String(beyond)], `has no event at position ${beyond}`],
      [['0'], 'Say the position of the last event'],
      [['3', '4'], 'Say the position of the last event'],
    ] as const)
      expect(await adopt(database.url, ...words)).toMatchObject({
        code: 2,
        errors: expect.stringContaining(why) as unknown,
      });
    expect(await logId()).toBe(before);
    expect(await adoptions()).toHaveLength(3);
  });

  it('makes a log trusted that has another name without it', async () => {
    const log = async () => {
      const { components } = (await replica.api.get('/health')).body as unknown as {
        components: { log: string };
      };
      return components.log;
    };
    expect((await replica.api.post('/lora/disable', { reason: 'seen' })).status).toBe(200);
    await database.query('update log_head set log_id = gen_random_uuid()');
    await eventually(async () => (await log()) === 'went-backwards');
    expect(replica.output()).toContain(`ANOTHER LOG: ${await logId()} does not continue`);
    expect((await replica.api.get('/health/ready')).status).toBe(503);
    expect((await replica.api.post('/lora/enable')).body).toMatchObject({ outcome: 'none' });
    expect((await replica.api.post('/lora/disable', { reason: 'again' })).status).toBe(200);
    expect((await replica.api.get('/lora/status')).body).toMatchObject({ last_reason: 'again' });

    // The last kill came after the backup.
    const position = (await headOf(database)) - 1;
    expect((await adopt(database.url, String(position))).code).toBe(0);
    expect((await adoptions()).at(-1)).toMatchObject({ log_id: await logId(), position });
    await eventually(async () => (await log()) === 'up');
    expect((await replica.api.post('/lora/enable')).status).toBe(200);
  });
});
