import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';

import {
  appendByHand,
  heldInLane,
  lockHead,
  lockWaiters,
  logOf,
  Pair,
} from '../../support/agreement-directed.js';
import { lanes, type Node, until } from '../../support/agreement-node.js';
import type { TestDatabase } from '../../support/database.js';

/** Schedules that are the same at every run: each waits for what it needs, never for time. */
describe('commands that race', () => {
  let pair: Pair;
  let database: TestDatabase;
  let one: Node;
  let other: Node;

  beforeAll(async () => {
    pair = await Pair.start();
    ({ database, one, other } = pair);
  });
  afterAll(() => pair.stop());

  it('a kill on another replica beats an enable that is on its way', async () => {
    const fleet = await pair.newFleet('v1');
    await one.post(`/lora/disable?fleet=${fleet}`);
    const [enable] = await heldInLane(one, () => one.post(`/lora/enable?fleet=${fleet}`));
    const kill = await other.post(`/lora/disable?fleet=${fleet}`, { reason: 'meanwhile' });
    one.proxy.set('pass');
    expect(kill.status).toBe(200);
    expect(await enable).toMatchObject({ status: 409, body: { code: 'killed-meanwhile' } });
    expect(await pair.status(one, fleet)).toMatchObject({ enabled: false, last_reason: 'meanwhile' });
  });

  it('a kill on the same replica beats an enable that is on its way', async () => {
    const fleet = await pair.newFleet('v1');
    await one.post(`/lora/disable?fleet=${fleet}`);
    const [enable, kill] = await pair.batch([
      () => one.post(`/lora/enable?fleet=${fleet}`),
      // By the spare, while the first lane hangs.
      () => one.post(`/lora/disable?fleet=${fleet}`),
    ]);
    expect(await kill).toMatchObject({ status: 200 });
    one.proxy.set('pass');
    expect(await enable).toMatchObject({ status: 409, body: { code: 'killed-meanwhile' } });
    expect(await pair.status(other, fleet)).toMatchObject({ enabled: false });
  });

  it('a deploy and a rollback are not decided on top of a kill that waits before them', async () => {
    const fleet = await pair.newFleet('v1', 'v2');
    const batch = await pair.batch(
      [
        () => one.post(`/lora/disable?fleet=${fleet}`),
        () => one.post(`/lora/deploy?fleet=${fleet}`, { adapter_version: 'v3' }),
        () => one.post(`/lora/rollback?fleet=${fleet}`, { adapter_version: 'v1' }),
      ],
      lanes,
    );
    one.proxy.set('pass');
    const [kill, deploy, rollback] = await Promise.all(batch);
    expect(kill).toMatchObject({ status: 200 });
    expect(deploy).toMatchObject({ status: 409, body: { code: 'killed-meanwhile' } });
    expect(rollback).toMatchObject({ status: 409, body: { code: 'killed-meanwhile' } });
  });

  it('a command sent again after a kill with its key does not lift the kill', async () => {
    const fleet = await pair.newFleet('v1');
    const key = randomUUID();
    const enable = await one.post(`/lora/enable?fleet=${fleet}`, {}, key);
    const kill = await other.post(`/lora/disable?fleet=${fleet}`);
    for (const node of pair.nodes) {
      const again = await node.post(`/lora/enable?fleet=${fleet}`, {}, key);
      expect(again).toMatchObject({ status: 200, body: { generation: enable.body.generation } });
      expect(again.headers.get('idempotency-replayed')).toBe('true');
      expect(again.headers.get('lora-superseded-by')).toBe(String(kill.body.generation));
      expect(await pair.status(node, fleet)).toMatchObject({
        enabled: false,
        generation: kill.body.generation,
      });
    }
  });

  it('an enable that its caller gave up while its replica stood still does not lift a later kill', async () => {
    const fleet = await pair.newFleet('v1');
    await one.post(`/lora/disable?fleet=${fleet}`);
    one.pause();
    const enable = await one.call({ path: `/lora/enable?fleet=${fleet}`, timeoutMs: 300 });
    expect(enable.status).toBe(0);
    const kill = await other.post(`/lora/disable?fleet=${fleet}`, { reason: 'later' });
    expect(kill.status).toBe(200);
    one.resume();
    // What waited in its sockets has been dealt with by then.
    await one.barrier();
    await one.post(`/lora/deploy?fleet=${fleet}`, { adapter_version: 'refused' });
    expect(await pair.status(one, fleet)).toMatchObject({
      enabled: false,
      generation: kill.body.generation,
    });
  });

  it.each(['the fleet first', 'the kill first'])('a new fleet races a kill of all: %s', async (order) => {
    const fleet = pair.newName();
    const lock = await lockHead(database);
    const make = () => one.call({ method: 'PUT', path: `/fleets/${fleet}` });
    const kill = () => other.post('/lora/disable?fleet=*');
    const calls = order === 'the fleet first' ? [make, kill] : [kill, make];
    const answers = [];
    for (const [nth, call] of calls.entries()) {
      answers.push(call());
      await lockWaiters(database, nth + 1);
    }
    await lock.release();
    const replies = await Promise.all(answers);
    expect(replies.map((reply) => reply.status).sort()).toEqual([200, 201]);
    const killed = replies.find((reply) => reply.status === 200)?.body.fleets as {
      fleet: string;
      generation: number;
    }[];
    const rows = await logOf(database);
    const at = Math.min(...killed.map(({ generation }) => generation));
    const existing = new Set(rows.filter(({ position }) => position < at).map((row) => row.fleet));
    expect(killed.map((each) => each.fleet).sort()).toEqual([...existing].sort());
    expect(existing.has(fleet)).toBe(order === 'the fleet first');
    await one.post('/lora/enable');
  });

  it('a fleet made on one replica can be killed on another at once', async () => {
    for (let nth = 0; nth < 30; nth++) {
      const fleet = pair.newName();
      const [maker, killer] = nth % 2 === 0 ? [one, other] : [other, one];
      expect(await maker.call({ method: 'PUT', path: `/fleets/${fleet}` })).toMatchObject({ status: 201 });
      expect(await killer.post(`/lora/disable?fleet=${fleet}`)).toMatchObject({ status: 200 });
    }
  });

  it('a read right after the answer to a kill never shows the state before it, on any replica', async () => {
    const fleet = await pair.newFleet('v1');
    let wrong = 0;
    for (let nth = 0; nth < 100; nth++) {
      const killer = pair.nodes[nth % 2] ?? one;
      const kill = await killer.post(`/lora/disable?fleet=${fleet}`);
      const reads = await Promise.all(
        pair.nodes.flatMap((node) => [
          node.get(`/lora/status?fleet=${fleet}`),
          node.get(`/lora/status?fleet=${fleet}&consistency=strong`),
        ]),
      );
      expect(kill.status).toBe(200);
      wrong += reads.filter(
        ({ body }) => body.enabled !== false || body.generation !== kill.body.generation,
      ).length;
      await other.post(`/lora/enable?fleet=${fleet}`);
    }
    expect(wrong).toBe(0);
  });

  it('appends whose transactions end in another order than they began lose nothing', async () => {
    const [first, second] = await Promise.all([database.connect(), database.connect()]);
    const [a, b, c, d] = await Promise.all(['a', 'b', 'c', 'd'].map(() => pair.newFleet('v1')));
    const before = (await logOf(database)).length;
    await first.query('begin');
    await first.query(appendByHand(a ?? '', 'one'));
    const waiting = second.query(appendByHand(b ?? '', 'two'));
    await lockWaiters(database, 1);
    // Whoever reads now must not pass over what is not there yet.
    expect((await pair.status(other, a ?? '')).last_reason).not.toBe('by hand');
    await first.query('rollback');
    await waiting;
    await second.query('begin');
    await second.query(appendByHand(c ?? '', 'three'));
    const last = first.query(appendByHand(d ?? '', 'four'));
    await lockWaiters(database, 1);
    await second.query('commit');
    await last;
    await Promise.all([first.end(), second.end()]);
    const rows = await logOf(database);
    expect(rows.slice(before).map((row) => row.key)).toEqual(['two', 'three', 'four']);
    expect(rows.map((row) => row.position)).toEqual(rows.map((_, nth) => nth + 1));
    for (const node of pair.nodes) {
      for (const { fleet, position } of rows.slice(before)) {
        await until('all events arrived', async () => {
          const seen = (await node.get(`/lora/status?fleet=${fleet}&consistency=eventual`)).body;
          return seen.generation === position;
        });
      }
    }
  });
});
