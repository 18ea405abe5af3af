import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';

import { type Answered, took } from '../../support/agreement-call.js';
import {
  appendByHand,
  backendsOf,
  lockHead,
  lockWaiters,
  logOf,
  Pair,
  positionOf,
} from '../../support/agreement-directed.js';
import { lanes, type Node, until } from '../../support/agreement-node.js';
import type { TestDatabase } from '../../support/database.js';

const LOCK_FIRST = 'begin; select lock_head%';

describe('a head that is locked', () => {
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

  /** What an outcome promises must hold now and for ever: the kill is sent again under its key to see. */
  async function expectHonest(answer: Answered, key: string): Promise<void> {
    expect(answer).toMatchObject({ status: 503, body: { code: 'log-unavailable', idempotency_key: key } });
    // Changes nothing, and goes the same way: whatever is still under way has ended after it.
    expect(await one.call({ method: 'PUT', path: '/fleets/default' })).toMatchObject({ status: 200 });
    if (answer.body.outcome === 'none') expect(await positionOf(database, key)).toBeUndefined();
    const settled = await one.post('/lora/disable', {}, key);
    expect(settled.status).toBe(200);
    const rows = (await logOf(database)).filter((row) => row.key === key);
    expect(rows.map(({ position }) => position)).toEqual([settled.body.generation]);
  }

  it('by somebody else delays a kill by at most 2 s; the next one after its release succeeds', async () => {
    const lock = await lockHead(database);
    const key = randomUUID();
    const kill = await one.post('/lora/disable', {}, key);
    expect(took(kill)).toBeLessThan(2000);
    expect(kill.status).toBe(503);
    await lock.release();
    expect(await one.post('/lora/disable')).toMatchObject({ status: 200 });
    await expectHonest(kill, key);
  });

  it('by a replica that is stopped while it asks whether it could append does not block kills elsewhere', async () => {
    const lock = await lockHead(database);
    const ready = one.get('/health/ready');
    await lockWaiters(database, 1);
    one.pause();
    await lock.release();
    const kill = await other.post('/lora/disable');
    expect(kill.status).toBe(200);
    expect(took(kill)).toBeLessThan(1000);
    one.resume();
    await ready;
  });

  interface Staged {
    readonly key: string;
    readonly deploy: Promise<Answered>;
    readonly grant: () => Promise<void>;
  }

  /**
   * A deploy of the first replica that waits for the head's lock in a transaction of its own, in which it decides
   * and appends when it is granted. On a slow machine its deadline may come before all is in place: then another one.
   */
  async function deployThatLocksFirst(): Promise<Staged> {
    for (let tries = 0; tries < 20; tries += 1) {
      const staged = await tryToStage();
      if (staged) return staged;
    }
    throw new Error('None of 20 deploys came to lock first.');
  }

  async function tryToStage(): Promise<Staged | undefined> {
    const key = randomUUID();
    const first = await lockHead(database);
    const seen = { over: false };
    const deploy = one
      .post('/lora/deploy', { adapter_version: 'mine' }, key)
      .finally(() => (seen.over = true));
    await until('it waits for the lock', async () => seen.over || (await isWaiting('%')));
    if (seen.over) {
      await first.release();
      return undefined;
    }
    // Where conflicts are frequent it locks first at once.
    if (await isWaiting(LOCK_FIRST)) return { key, deploy, grant: first.release };
    // Else after a conflict.
    const second = await database.connect();
    const grant = async (): Promise<void> => {
      await second.query('rollback');
      await second.end();
    };
    await second.query('begin');
    const locked = second.query('select from log_head for update');
    await somebodyElseWaits();
    await first.client.query(appendByHand('default', randomUUID()));
    await first.client.query('commit');
    await first.client.end();
    await locked;
    await until('it locks first', async () => seen.over || (await isWaiting(LOCK_FIRST)));
    if (await isWaiting(LOCK_FIRST)) return { key, deploy, grant };
    await grant();
    return undefined;
  }

  /** Somebody who is not a replica. */
  async function somebodyElseWaits(): Promise<void> {
    await until('somebody else waits for the lock', async () => {
      const rows = await database.query(
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
         and query = 'select from log_head for update'`,
      );
      return rows.length > 0;
    });
  }

  async function isWaiting(query: string): Promise<boolean> {
    const rows = await database.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
       and application_name = 'lora-control-plane lane' and query like $1`,
      [query],
    );
    return rows.length > 0;
  }

  it('by a replica that is stopped in the middle of an append delays others by less than 1 s', async () => {
    const { key, deploy, grant } = await deployThatLocksFirst();
    one.pause();
    await grant();
    const elsewhere = await other.post('/lora/disable');
    expect(elsewhere.status).toBe(200);
    expect(took(elsewhere)).toBeLessThan(1000);
    one.resume();
    expect(await deploy).toMatchObject({ status: 409, body: { code: 'killed-meanwhile' } });
    expect(await positionOf(database, key)).toBeUndefined();
  });

  it('by a session that dies before its append: nothing of the transaction goes on in another one', async () => {
    const { key, deploy, grant } = await deployThatLocksFirst();
    // It gets the lock, of which it does not hear, and idles until the server ends it.
    one.proxy.set('hold', lanes);
    await grant();
    await until('the server ended the session', async () => {
      const rows = await database.query(
        `select from pg_stat_activity where datname = current_database()
         and application_name = 'lora-control-plane lane' and query like $1`,
        [LOCK_FIRST],
      );
      return rows.length === 0;
    });
    // Its last answer and its end arrive together.
    one.proxy.set('pass');
    expect(await deploy).toMatchObject({ status: 200, body: { active_adapter_version: 'mine' } });
    expect((await logOf(database)).filter((row) => row.key === key)).toHaveLength(1);
  });

  it('`none` is never said of a command that is still under way under the lock', async () => {
    const start = (await logOf(database)).length;
    const fleet = await pair.newFleet('v1');
    const key = randomUUID();
    const first = await lockHead(database);
    const sentAt = performance.now();
    const kill = one.post('/lora/disable', {}, key);
    await lockWaiters(database, 1);
    // Its first try times out at 1.5 s; the second one meets a conflict just before the deadline.
    await until('the deadline is near', () => performance.now() - sentAt > 1700);
    await first.client.query(appendByHand(fleet, randomUUID()));
    const second = await database.connect();
    await second.query('begin');
    const locked = second.query('select from log_head for update');
    await somebodyElseWaits();
    await first.client.query('commit');
    await locked;
    const answer = await kill;
    await second.query('rollback');
    await Promise.all([first.client.end(), second.end()]);
    await expectHonest(answer, key);
    expect((await logOf(database)).length).toBe(start + 3);
  });

  it("a kill is not stuck while the server's process behind the lane is stopped", async () => {
    // Of both replicas: they cannot be told apart from here.
    const backends = await backendsOf(database, 'lora-control-plane lane');
    for (const pid of backends) process.kill(pid, 'SIGSTOP');
    try {
      const deploy = one.post('/lora/deploy', { adapter_version: 'v1' });
      await one.barrier();
      const kill = await one.post('/lora/disable');
      expect(kill.status).toBe(200);
      expect(took(kill)).toBeLessThan(1000);
      expect([409, 503]).toContain((await deploy).status);
    } finally {
      for (const pid of backends) process.kill(pid, 'SIGCONT');
    }
    expect(await one.get('/lora/status')).toMatchObject({ body: { enabled: false } });
  });
});
