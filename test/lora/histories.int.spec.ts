import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { EventStore } from '../../src/event-store/event-store.js';
import type { OpenApp } from '../support/start.js';
import { startOpenApp } from '../support/open-app.js';
import { expectProblem } from '../support/problem.js';

/** The service, and a replica of it that has come to know the fleets without having made them. */
let [first, second] = [] as unknown as [OpenApp, OpenApp];
beforeAll(async () => {
  first = await startOpenApp({ ACTIVE_LORA_ADAPTER: 'v1' });
  for (const fleet of ['shared', 'unread'])
    await first.api.send('PUT', `/fleets/${fleet}`, { body: { adapter_version: 'v1' } });
  second = await startOpenApp({}, first.database);
});
afterAll(async () => {
  await second.close();
  await first.close();
});

describe('histories that memory does not have', () => {
  it('are read once for all who ask at the same time', async () => {
    const store = second.app.get(EventStore);
    const snapshot = store.memory.get('shared');
    if (snapshot === null) throw new Error('There is no fleet shared.');
    expect(snapshot.histories).toBeUndefined();
    const read = store.historiesOf(snapshot);
    expect(store.historiesOf(snapshot)).toBe(read);
    expect(await read).toStrictEqual({ rollback_history: [], activation_history: [] });
  });

  it('and cannot be read are left out of a stale answer; only `strong` is refused', async () => {
    const path = '/lora/status?fleet=unread';
    // Enough for confirming the log, too little for the histories.
    const [role] = await second.database.query<{ name: string }>(
      `select usename as name from pg_stat_activity
       where datname = current_database() and application_name = 'lora-control-plane read index' limit 1`,
    );
    const name = `"${String(role?.name)}"`;
    await second.database.query(`revoke select on events from ${name}`);
    await second.database.query(`grant select (position, leaf_hash) on events to ${name}`);
    const stale = await second.api.get(path);
    expect(stale).toMatchObject({ status: 200, body: { fleet: 'unread', enabled: true, stale: true } });
    expect(stale.body.as_of).toMatch(/^\d{4}-/);
    expect(stale.body).not.toHaveProperty('rollback_history');
    expect(stale.headers.get('warning')).toMatch(/^110 /);
    expectProblem(await second.api.get(`${path}&consistency=strong`), 'log-unavailable', '/lora/status');

    // Whoever looks after the service is told why, the caller is not.
    const told = second.logged.filter((line) => line.includes('permission denied for table events'));
    expect(told).toStrictEqual(['The log cannot be read now. permission denied for table events (42501)']);

    await second.database.query(`grant select on events to ${name}`);
    const { body } = await second.api.get(path);
    expect(body).toMatchObject({ rollback_history: [], activation_history: [] });
    expect(body).not.toHaveProperty('stale');
  });
});
