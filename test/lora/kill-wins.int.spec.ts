import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';

import { EventStore } from '../../src/event-store/event-store.js';
import type { OpenApp } from '../support/start.js';
import { startOpenApp } from '../support/open-app.js';
import { type HeadLock, lockHead } from '../support/head-lock.js';
import { eventually, type Reply } from '../support/http.js';
import { expectProblem, headOf, short } from '../support/problem.js';
import { RawConnection } from '../support/raw-http.js';

let service: OpenApp;
/** While it is held, nothing can be appended. */
let lock: HeadLock | undefined;
/** Sees when a command has been confirmed and waits for the log; lets everything through. */
let submitted: jest.SpiedFunction<EventStore['append']>;
let made = 0;
let fleet: string;

beforeAll(async () => {
  service = await startOpenApp({ ACTIVE_LORA_ADAPTER: 'v1' });
  submitted = jest.spyOn(service.app.get(EventStore), 'append');
  for (const name of ['other', 'busy']) await service.api.send('PUT', `/fleets/${name}`);
});
beforeEach(async () => {
  fleet = `fleet-${(made += 1)}`;
  await service.api.send('PUT', `/fleets/${fleet}`, { body: { adapter_version: 'v1' } });
  await command('deploy', { adapter_version: 'v2' });
});
afterEach(release);
afterAll(() => service.close());

async function hold(): Promise<HeadLock> {
  lock = await lockHead(service.database);
  return lock;
}
async function release(): Promise<void> {
  await lock?.release();
}
const command = (name: string, body?: object, headers: Record<string, string> = {}): Promise<Reply> =>
  service.api.post(`/lora/${name}?fleet=${fleet}`, body, headers);
const state = async () => (await service.api.get(`/lora/status?fleet=${fleet}`)).body;

/** Sends a command and waits until it waits for the log: what it was confirmed under stands by then. */
async function underWay(send: () => Promise<Reply>): Promise<{ reply: Promise<Reply> }> {
  const before = submitted.mock.calls.length;
  const reply = send();
  await eventually(() => submitted.mock.calls.length > before);
  return { reply };
}

/**
 * A kill of another fleet that has come as far as the head's lock, and once more on the spare lane because it hangs:
 * what follows waits behind it, kills too.
 */
async function occupied(): Promise<{ reply: Promise<Reply> }> {
  const held = await hold();
  const first = await underWay(() => service.api.post('/lora/disable?fleet=busy'));
  await Promise.all([held.waiters(1), held.waiters(1, 'spare lane')]);
  return first;
}

const accepted = (reply: Reply, body: object) => {
  expect(short(reply)).toMatchObject({ status: 200, body });
};

describe('a kill wins over what was under way', () => {
  it('is picked before everything that waits, and what waited is refused', async () => {
    const before = await headOf(service.database);
    const first = await occupied();
    const early = await underWay(() => command('enable', { adapter_version: 'v3' }));
    const kill = await underWay(() => command('disable', { reason: 'regression_detected' }));
    const late = await underWay(() => command('enable', { adapter_version: 'v4' }));
    await release();

    accepted(await first.reply, { fleet: 'busy', generation: before + 1 });
    const killed = await kill.reply;
    accepted(killed, { enabled: false, generation: before + 2, resume_adapter_version: 'v2' });
    for (const { reply } of [early, late]) {
      const refused = await reply;
      expectProblem(refused, 'killed-meanwhile', '/lora/enable');
      // By whom, when, why.
      for (const word of ['anonymous', String(killed.body.updated_at), 'regression_detected']) {
        expect(refused.body.detail).toContain(word);
      }
      expect(refused.body.notice).toBe('Nothing was changed. LoRA is DISABLED.');
    }
    expect(await headOf(service.database)).toBe(before + 2);
    expect(await state()).toMatchObject({ enabled: false, generation: before + 2 });

    // Only a command sent after the kill can lift it.
    accepted(await command('enable'), {
      enabled: true,
      active_adapter_version: 'v2',
      generation: before + 3,
    });
  });

  it('whichever of the two was at the lock first, and does not wait for what hangs there', async () => {
    const before = await headOf(service.database);
    const held = await hold();
    const first = await underWay(() => command('enable', { adapter_version: 'v3' }));
    await held.waiters(1);
    const kill = await underWay(() => command('disable'));
    await held.waiters(1, 'spare lane');
    const late = await underWay(() => command('enable'));
    await release();

    const killed = await kill.reply;
    const enables = [await first.reply, await late.reply];
    // They may have come before the kill, never after it.
    for (const enabled of enables) {
      if (enabled.status === 200)
        expect(enabled.body.generation).toBeLessThan(Number(killed.body.generation));
      else expectProblem(enabled, 'killed-meanwhile', '/lora/enable');
    }
    const taken = enables.filter(({ status }) => status === 200).length;
    accepted(killed, { enabled: false, generation: before + taken + 1 });
    expect(await headOf(service.database)).toBe(before + taken + 1);
    expect(await state()).toMatchObject({ enabled: false });
  });

  it('refuses deploys and rollbacks in the same way, with a version or without', async () => {
    const before = await headOf(service.database);
    await occupied();
    const waiting = [
      await underWay(() => command('deploy', { adapter_version: 'v3' })),
      await underWay(() => command('rollback')),
      await underWay(() => command('rollback', { adapter_version: 'v1' })),
      await underWay(() => service.api.post(`/adapters/v3/deploy?fleet=${fleet}`)),
    ];
    const kill = await underWay(() => command('disable'));
    await release();

    accepted(await kill.reply, { enabled: false, generation: before + 2 });
    for (const { reply } of waiting) {
      expect(short(await reply)).toMatchObject({ status: 409, body: { code: 'killed-meanwhile' } });
    }
    expect(await headOf(service.database)).toBe(before + 2);
    expect(await state()).toMatchObject({ resume_adapter_version: 'v2', last_operation: 'disabled' });
  });

  it('also when LoRA was disabled already, and the kill only repeats it', async () => {
    await command('disable');
    await occupied();
    const enable = await underWay(() => command('enable'));
    const kill = await underWay(() => command('disable', { reason: 'once_more' }));
    await release();
    accepted(await kill.reply, { enabled: false, last_reason: 'once_more' });
    expectProblem(await enable.reply, 'killed-meanwhile', '/lora/enable');
    expect((await state()).enabled).toBe(false);
  });

  it('also a kill of all fleets', async () => {
    await occupied();
    const waiting = [
      await underWay(() => command('enable')),
      await underWay(() => service.api.post('/lora/enable?fleet=other')),
      await underWay(() => service.api.post('/lora/enable')),
    ];
    const kill = await underWay(() => service.api.post('/lora/disable?fleet=*'));
    await release();
    expect((await kill.reply).status).toBe(200);
    for (const { reply } of waiting) expectProblem(await reply, 'killed-meanwhile', '/lora/enable');
    const { body } = await service.api.get('/fleets?limit=500');
    for (const { enabled } of body.fleets as unknown as { enabled: boolean }[]) expect(enabled).toBe(false);
    await service.api.post('/lora/enable?fleet=other');
    await service.api.post('/lora/enable');
  });

  it('also while the body of a command was still on its way', async () => {
    const confirm = jest.spyOn(service.app.get(EventStore).readIndex, 'confirm');
    const connection = await RawConnection.open(service.api.url);
    connection
      .head('POST', `/lora/enable?fleet=${fleet}`, {
        'content-type': 'application/json',
        'content-length': 14,
      })
      .write('{"rea');
    await eventually(() => confirm.mock.results.length > 0);
    await confirm.mock.results[0]?.value;
    confirm.mockRestore();
    expect((await command('disable')).status).toBe(200);
    connection.write('son":"a"}');
    expectProblem(await connection.reply(), 'killed-meanwhile', '/lora/enable');
    expect(await state()).toMatchObject({ enabled: false });
    connection.close();
  });

  it('kills go in the order in which they came', async () => {
    const before = await headOf(service.database);
    await occupied();
    const enable = await underWay(() => command('enable'));
    const kills = [];
    for (const reason of ['first', 'second', 'third'])
      kills.push(await underWay(() => command('disable', { reason })));
    await release();
    const generations = [];
    for (const { reply } of kills) generations.push((await reply).body.generation);
    expect(generations).toStrictEqual([before + 2, before + 3, before + 4]);
    expectProblem(await enable.reply, 'killed-meanwhile', '/lora/enable');
  });

  it('but a kill of another fleet does not touch it, nor one that was refused', async () => {
    const before = await headOf(service.database);
    await occupied();
    const deploy = await underWay(() => command('deploy', { adapter_version: 'v3' }));
    const enable = await underWay(() => command('enable', { adapter_version: 'v4' }));
    const kill = await underWay(() => service.api.post('/lora/disable?fleet=other'));
    const stale = await underWay(() => command('disable', undefined, { 'if-match': '1' }));
    await release();
    accepted(await kill.reply, { fleet: 'other', enabled: false });
    expectProblem(await stale.reply, 'generation-mismatch', '/lora/disable');
    accepted(await deploy.reply, { active_adapter_version: 'v3', generation: before + 3 });
    accepted(await enable.reply, { enabled: true, active_adapter_version: 'v4', generation: before + 4 });
    await service.api.post('/lora/enable?fleet=other');
  });

  it('a replay under way is still a replay', async () => {
    const key = { 'idempotency-key': `deploy-${fleet}` };
    const first = await command('deploy', { adapter_version: 'v3' }, key);
    await occupied();
    const again = await underWay(() => command('deploy', { adapter_version: 'v3' }, key));
    const kill = await underWay(() => command('disable'));
    await release();
    const killed = await kill.reply;
    const replay = await again.reply;
    accepted(replay, { generation: first.body.generation, status: 'deployed', version: 'v3' });
    expect(replay.headers.get('idempotency-replayed')).toBe('true');
    expect(replay.headers.get('lora-superseded-by')).toBe(String(killed.body.generation));
  });
});

describe('a rollback without a version', () => {
  it('whose current version changed meanwhile is 412, not a step from another one', async () => {
    const before = await headOf(service.database);
    await occupied();
    const deploy = await underWay(() => command('deploy', { adapter_version: 'v3' }));
    const blind = await underWay(() => command('rollback'));
    const named = await underWay(() => command('rollback', { adapter_version: 'v1' }));
    await release();
    accepted(await deploy.reply, { generation: before + 2, active_adapter_version: 'v3' });
    const refused = await blind.reply;
    expectProblem(refused, 'generation-mismatch', '/lora/rollback');
    expect(refused.body.detail).toMatch(
      /^The current version changed after this rollback had arrived \(now v3\); /,
    );
    expect(refused.body.notice).toBe('Nothing was changed. LoRA is ENABLED.');
    accepted(await named.reply, { generation: before + 3, active_adapter_version: 'v1' });
  });

  it('sent twice at the same time goes one step', async () => {
    await occupied();
    const both = [await underWay(() => command('rollback')), await underWay(() => command('rollback'))];
    await release();
    const replies = await Promise.all(both.map(({ reply }) => reply));
    expect(replies.map(({ status }) => status)).toStrictEqual([200, 412]);
    expect(await state()).toMatchObject({ active_adapter_version: 'v1', rollback_target: null });
  });

  it('goes its step when the fleet moved on without another version', async () => {
    await occupied();
    const enable = await underWay(() => command('enable'));
    const rollback = await underWay(() => command('rollback'));
    await release();
    accepted(await enable.reply, { active_adapter_version: 'v2' });
    accepted(await rollback.reply, { active_adapter_version: 'v1' });
  });
});
