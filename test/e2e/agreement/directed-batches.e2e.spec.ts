import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';

import { heldInLane, logOf, Pair, positionOf } from '../../support/agreement-directed.js';
import type { Node } from '../../support/agreement-node.js';
import type { TestDatabase } from '../../support/database.js';

describe('commands in one batch', () => {
  let pair: Pair;
  let database: TestDatabase;
  let one: Node;
  let other: Node;

  beforeAll(async () => {
    pair = await Pair.start();
    ({ database, one, other } = pair);
  });
  afterAll(() => pair.stop());

  it('a duplicate key in the middle: what follows is decided on what happened', async () => {
    const fleet = await pair.newFleet('v1');
    const key = randomUUID();
    const deploy = (adapter_version: string, itsKey?: string) => () =>
      one.post(`/lora/deploy?fleet=${fleet}`, { adapter_version }, itsKey);
    expect((await deploy('dup', key)()).status).toBe(200);
    const batch = await pair.batch([deploy('a'), deploy('dup', key), deploy('b')]);
    one.proxy.set('pass');
    const [a, dup, b] = await Promise.all(batch);
    expect([a?.status, dup?.status, b?.status]).toEqual([200, 200, 200]);
    expect(dup?.headers.get('idempotency-replayed')).toBe('true');
    const rows = (await logOf(database)).filter((row) => row.fleet === fleet);
    expect(rows.map((row) => row.adapter_version)).toEqual(['v1', 'dup', 'a', 'b']);
    expect(rows.at(-1)).toMatchObject({ from_version: 'a', to_version: 'b' });
  });

  it('two rollbacks without a version are one step back and a refusal', async () => {
    const fleet = await pair.newFleet('v1', 'v2', 'v3');
    const rollback = () => one.post(`/lora/rollback?fleet=${fleet}`);
    const batch = await pair.batch([rollback, rollback]);
    one.proxy.set('pass');
    const [first, second] = await Promise.all(batch);
    expect(first).toMatchObject({ status: 200, body: { active_adapter_version: 'v2' } });
    expect(second).toMatchObject({ status: 412, body: { code: 'generation-mismatch' } });
  });

  it('a rollback without a version is refused when the version changed and came back before it', async () => {
    const fleet = await pair.newFleet('v1', 'v2');
    const batch = await pair.batch([
      () => one.post(`/lora/deploy?fleet=${fleet}`, { adapter_version: 'v3' }),
      () => one.post(`/lora/rollback?fleet=${fleet}`, { adapter_version: 'v2' }),
      () => one.post(`/lora/rollback?fleet=${fleet}`),
    ]);
    one.proxy.set('pass');
    expect((await Promise.all(batch)).map((reply) => reply.status)).toEqual([200, 200, 412]);
  });

  it.each([
    ['changed', ['v3']],
    ['changed and came back', ['v3', 'v2']],
  ])('a rollback without a version is refused when the version %s elsewhere', async (_, versions) => {
    const fleet = await pair.newFleet('v1', 'v2');
    const [rollback] = await heldInLane(one, () => one.post(`/lora/rollback?fleet=${fleet}`));
    for (const adapter_version of versions)
      expect((await other.post(`/lora/deploy?fleet=${fleet}`, { adapter_version })).status).toBe(200);
    one.proxy.set('pass');
    expect(await rollback).toMatchObject({ status: 412, body: { code: 'generation-mismatch' } });
  });

  it('one bad entry in a batch, and a batch of a bad entry alone, harm nobody else', async () => {
    await database.query(
      `create function refuse_bad() returns trigger language plpgsql as $$
       begin raise exception 'bad' using errcode = '22023'; end $$`,
    );
    await database.query(
      `create trigger bad before insert on events for each row when (new.reason = 'bad')
       execute function refuse_bad()`,
    );
    const fleets = await Promise.all(['a', 'b', 'c'].map(() => pair.newFleet('v1')));
    const keys = fleets.map(() => randomUUID());
    const batch = await pair.batch(
      fleets.map((fleet, nth) => () => {
        const body = { adapter_version: 'v2', reason: nth === 1 ? 'bad' : 'good' };
        return one.post(`/lora/deploy?fleet=${fleet}`, body, keys[nth]);
      }),
    );
    one.proxy.set('pass');
    const replies = await Promise.all(batch);
    expect(replies.map((reply) => reply.status)).toEqual([200, 503, 200]);
    expect(replies[1]?.body).toMatchObject({ outcome: 'none', idempotency_key: keys[1] });
    expect(await positionOf(database, keys[1] ?? '')).toBeUndefined();

    const key = randomUUID();
    const kill = (body: object) => one.post(`/lora/disable?fleet=${fleets[0] ?? ''}`, body, key);
    expect(await kill({ reason: 'bad' })).toMatchObject({
      status: 503,
      body: { outcome: 'none', idempotency_key: key },
    });
    expect(await kill({})).toMatchObject({ status: 200 });
  });
});
