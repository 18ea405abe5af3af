import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { took } from '../../support/agreement-call.js';
import { lockHead, lockWaiters, logOf, Pair, positionOf } from '../../support/agreement-directed.js';
import {
  answers,
  firstLane,
  lanes,
  Node,
  readIndex,
  spareLane,
  until,
} from '../../support/agreement-node.js';
import type { TestDatabase } from '../../support/database.js';

describe('a network that does not carry', () => {
  let pair: Pair;
  let database: TestDatabase;
  let one: Node;
  let other: Node;

  beforeAll(async () => {
    pair = await Pair.start();
    ({ database, one, other } = pair);
  });
  beforeEach(async () => {
    await pair.healed();
    await one.post('/lora/enable');
  });
  afterAll(() => pair.stop());

  it('a kill is not stuck behind a batch that hangs', async () => {
    one.proxy.set('hold', firstLane);
    const deploy = one.post('/lora/deploy', { adapter_version: 'v1' });
    await until('a command left', () => one.proxy.holdsRequest(firstLane));
    const kill = await one.post('/lora/disable');
    expect(kill.status).toBe(200);
    expect(took(kill)).toBeLessThan(1000);
    one.proxy.set('pass');
    expect((await deploy).status).toBe(409);
  });

  it('a kill is not stuck in a lane whose connection has died unnoticed', async () => {
    one.proxy.lose(firstLane);
    const kill = await one.post('/lora/disable');
    expect(kill.status).toBe(200);
    expect(took(kill)).toBeLessThan(1000);
  });

  it('a kill is answered honestly when both connections of the lane have died, and settled at once', async () => {
    await until('both are open', () => one.proxy.count(lanes) === 2);
    one.proxy.lose(lanes);
    const key = randomUUID();
    const kill = await one.post('/lora/disable', {}, key);
    expect(kill).toMatchObject({ status: 503, body: { idempotency_key: key } });
    // Connections that were given up in time mean that it was never sent.
    expect(['none', 'unknown']).toContain(kill.body.outcome);
    expect(took(kill)).toBeLessThan(2000);
    const again = await one.post('/lora/disable', {}, key);
    expect(again.status).toBe(200);
    expect(took(again)).toBeLessThan(1000);
  });

  it('a kill that went out on a dead spare is not lost when the lane hangs a while longer', async () => {
    const fleet = await pair.newFleet('v1');
    one.proxy.lose(spareLane);
    const lock = await lockHead(database);
    const deploy = one.post(`/lora/deploy?fleet=${fleet}`, { adapter_version: 'v2' });
    await lockWaiters(database, 1);
    const kill = one.post('/lora/disable');
    // The lane's batch has hung for long enough: the kill goes out on the spare, which swallows it.
    await until('the kill left', () => one.proxy.swallowed(spareLane) > 0);
    // About the time after which a batch counts as hanging, 150 ms: by then the spare's does too.
    await sleep(250);
    await lock.release();
    expect((await deploy).status).toBe(200);
    const answer = await kill;
    expect(answer.status).toBe(200);
    expect(took(answer)).toBeLessThan(1000);
  });

  it('an outcome is `unknown` when an earlier try may have reached the log', async () => {
    // Requests arrive, answers are lost; then the connection breaks and the log takes nothing more.
    one.proxy.set('deaf', lanes);
    const key = randomUUID();
    const kill = one.post('/lora/disable', {}, key);
    await until('the kill committed', async () => (await positionOf(database, key)) !== undefined);
    const append = `execute on function append_batch(jsonb, uuid, bigint)`;
    await database.query(`revoke ${append} from ${database.name}_service`);
    one.proxy.set('pass');
    one.proxy.cut(lanes);
    const answer = await kill;
    await database.query(`grant ${append} to ${database.name}_service`);
    expect(answer).toMatchObject({ status: 503, body: { outcome: 'unknown' } });
    expect(await one.post('/lora/disable', {}, key)).toMatchObject({ status: 200 });
    expect((await logOf(database)).filter((row) => row.key === key)).toHaveLength(1);
  });

  it('swallowed notifications are noticed: the log is polled, and the replica says so', async () => {
    const polling = await Node.start('polling', database, {}, (proxy) => {
      proxy.swallowsNotifications = true;
    });
    try {
      await until('the probe gave up', () =>
        polling.replica.output().includes('Notifications do not arrive'),
      );
      expect((await polling.get('/health')).body).toMatchObject({ components: { feed: 'polling' } });
      const kill = await one.post('/lora/disable');
      await until('the kill arrived', async () => {
        const { body } = await polling.get('/lora/status?consistency=eventual');
        return body.generation === kill.body.generation;
      });
    } finally {
      await polling.stop();
    }
  });

  it('a replica in a black hole says so within 2 s, takes nothing, and is back soon after', async () => {
    one.proxy.set('hole');
    const key = randomUUID();
    const [read, strong, kill, enable, ready, health] = await Promise.all([
      one.get('/lora/status'),
      one.get('/lora/status?consistency=strong'),
      one.post('/lora/disable', {}, key),
      one.post('/lora/enable'),
      one.get('/health/ready'),
      one.get('/health'),
    ]);
    expect(read).toMatchObject({ status: 200, body: { stale: true } });
    expect(read.headers.get('warning')).toContain('110');
    expect(strong.status).toBe(503);
    expect(kill).toMatchObject({ status: 503, body: { idempotency_key: key } });
    expect(enable).toMatchObject({ status: 503, body: { outcome: 'none' } });
    expect(ready.status).toBe(503);
    expect(health.body).toMatchObject({ status: 'degraded' });
    for (const answer of [read, strong, kill, enable, ready, health]) expect(took(answer)).toBeLessThan(2100);

    expect(await other.post('/lora/disable', { reason: 'elsewhere' })).toMatchObject({ status: 200 });
    const again = await one.get('/lora/status');
    expect(again.body).toMatchObject({ stale: true, enabled: true });

    one.proxy.set('pass');
    const releasedAt = performance.now();
    await until(
      'the log is asked again',
      async () => (await one.get('/lora/status?consistency=strong')).status === 200,
    );
    expect((await one.get('/lora/status')).body).toMatchObject({ enabled: false });
    expect(await one.post('/lora/disable', {}, key)).toMatchObject({ status: 200 });
    expect(performance.now() - releasedAt).toBeLessThan(2000);
    expect((await logOf(database)).filter((row) => row.key === key)).toHaveLength(1);
  });

  it('an enable whose confirmation is late is not given effect over a kill that came meanwhile', async () => {
    one.proxy.set('hold', readIndex);
    const sentAt = performance.now();
    const enable = one.post('/lora/enable');
    await until('the log is being asked', () => one.proxy.holdsRequest(readIndex));
    expect((await other.post('/lora/disable')).status).toBe(200);
    // Until then it still tells what had happened when the enable arrived.
    await until('the confirmation is late', () => performance.now() - sentAt > 200);
    one.proxy.set('pass');
    expect(await enable).toMatchObject({ status: 409, body: { code: 'killed-meanwhile' } });
    expect((await one.get('/lora/status')).body).toMatchObject({ enabled: false });
  });

  it('the spare takes a kill when the lane cannot be opened again', async () => {
    const [lane] = await database.query<{ pid: number; role: string }>(
      `select pid, usename as role from pg_stat_activity where datname = current_database()
       and application_name = 'lora-control-plane lane' order by backend_start limit 1`,
    );
    if (!lane) throw new Error('There is no lane.');
    await database.query(`alter role ${lane.role} nologin`);
    try {
      await database.query('select pg_terminate_backend($1)', [lane.pid]);
      for (const node of pair.nodes) {
        const kill = await node.post('/lora/disable');
        expect(kill.status).toBe(200);
        expect(took(kill)).toBeLessThan(1000);
      }
    } finally {
      await database.query(`alter role ${lane.role} login`);
    }
  });

  it('a kill that has committed is answered as one, also when the past cannot be read', async () => {
    const fleet = await pair.newFleet('v1');
    await one.kill('SIGTERM');
    await one.start();
    await one.healed();
    one.proxy.set('hole', answers);
    const kill = await one.post(`/lora/disable?fleet=${fleet}`, { reason: 'no past' });
    expect(kill).toMatchObject({ status: 200, body: { enabled: false, last_reason: 'no past' } });
    expect(kill.body.notice).toContain('What rests on the past is left out');
    expect(kill.body).not.toHaveProperty('rollback_history');
    expect(took(kill)).toBeLessThan(2000);
  });
});
