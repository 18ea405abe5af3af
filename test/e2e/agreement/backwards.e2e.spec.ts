import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Node, until } from '../../support/agreement-node.js';
import { OwnPostgres } from '../../support/agreement-postgres.js';
import { Metrics } from '../../support/metrics.js';
import { EventStream, idOf } from '../../support/sse.js';

const MAINTENANCE = fileURLToPath(new URL('../../../dist/src/maintain.main.js', import.meta.url));

/** What an operator does who restores a backup, told in one go: each test goes on where the last one ended. */
describe('a log that goes backwards', () => {
  let postgres: OwnPostgres;
  let nodes: Node[];
  let one: Node;
  let other: Node;
  let streams: EventStream[];
  let logId: unknown;
  let killedTag: string;
  let copy: { restore(): Promise<void> };

  beforeAll(async () => {
    postgres = await OwnPostgres.create();
    nodes = await Promise.all(['one', 'other'].map((name) => Node.start(name, postgres)));
    [one, other] = nodes as [Node, Node];
  }, 60_000);
  afterAll(async () => {
    for (const stream of streams) stream.close();
    await Promise.all(nodes.map((node) => node.stop()));
    await postgres.remove();
  }, 30_000);

  const statusOf = async (node: Node, fleet: string) =>
    (await node.get(`/lora/status?fleet=${fleet}&consistency=strong`)).body;

  it('is noticed on every replica after an old copy was put in place', async () => {
    for (const fleet of ['alive', 'killed-later'])
      expect((await one.call({ method: 'PUT', path: `/fleets/${fleet}` })).status).toBe(201);
    await postgres.stopImmediate();
    copy = await postgres.backUp();
    await postgres.start();
    await Promise.all(nodes.map((node) => node.healed()));

    expect((await one.call({ method: 'PUT', path: '/fleets/lost' })).status).toBe(201);
    expect((await one.post('/lora/disable?fleet=lost')).status).toBe(200);
    const kill = await one.post('/lora/disable?fleet=killed-later', { reason: 'will be lost' });
    killedTag = idOf(kill);
    logId = kill.body.log_id;
    expect((await other.post('/lora/deploy?fleet=alive', { adapter_version: 'v1' })).status).toBe(200);
    for (const node of nodes)
      expect(await statusOf(node, 'alive')).toMatchObject({ active_adapter_version: 'v1' });
    streams = await Promise.all(
      nodes.map((node) => EventStream.open(node.url, '/lora/stream?fleet=killed-later')),
    );
    for (const stream of streams) await stream.first(1);

    await postgres.stopImmediate();
    await copy.restore();
    await postgres.start();
    for (const node of nodes) {
      await until('the alarm is raised', async () => {
        const { components } = (await node.get('/health')).body as { components: { log: string } };
        return components.log === 'went-backwards';
      });
      expect((await node.get('/health')).body).toMatchObject({ status: 'degraded' });
      expect((await node.get('/health/ready')).status).toBe(503);
      expect((await node.get('/health/live')).status).toBe(200);
      expect(node.replica.output()).toContain('THE LOG WENT BACKWARDS');
    }
  });

  it('ends every stream, and opens none', async () => {
    for (const stream of streams) {
      await stream.end();
      expect(stream.events.at(-1)?.event).toBe('stale');
      expect(stream.states.map(({ id }) => id)).toEqual([killedTag]);
    }
    for (const node of nodes) {
      const refused = await EventStream.open(node.url, '/lora/stream?fleet=killed-later');
      expect(refused.status).toBe(503);
    }
  });

  it('leaves a killed fleet killed for every reader, however it asks', async () => {
    for (const node of nodes) {
      for (const query of ['', '&consistency=strong', '&consistency=eventual']) {
        const { status, body } = await node.get(`/lora/status?fleet=killed-later${query}`);
        expect({ status, enabled: body.enabled }).toEqual({ status: 200, enabled: false });
      }
      const { fleets } = (await node.get('/fleets')).body as {
        fleets: { fleet: string; enabled: boolean }[];
      };
      expect(fleets.find(({ fleet }) => fleet === 'killed-later')).toMatchObject({ enabled: false });
      // Its generation is given a second time: neither "nothing new" nor waiting for something new can be right.
      for (const prefer of ['respond-async', 'wait=60']) {
        const known = await node.call({
          method: 'GET',
          path: '/lora/status?fleet=killed-later',
          headers: { 'if-none-match': `"${killedTag}"`, prefer },
        });
        expect(known).toMatchObject({ status: 200, body: { enabled: false } });
      }
    }
  });

  it('leaves a fleet that the log has lost among the metrics', async () => {
    for (const node of nodes) {
      const metrics = new Metrics(await (await fetch(`${node.url}/metrics`)).text());
      for (const fleet of ['lost', 'killed-later'])
        expect(metrics.value('lora_fleet_enabled', { fleet })).toBe(0);
      expect(metrics.value('lora_fleet_enabled', { fleet: 'alive' })).toBe(1);
    }
  });

  it('takes disables and nothing else', async () => {
    for (const node of nodes) {
      for (const [path, body] of [
        ['/lora/enable?fleet=killed-later', {}],
        ['/lora/deploy?fleet=alive', { adapter_version: 'v2' }],
        ['/lora/rollback?fleet=alive', {}],
      ] as const) {
        const refused = await node.post(path, body);
        expect(refused).toMatchObject({ status: 503, body: { code: 'log-unavailable', outcome: 'none' } });
      }
      const made = await node.call({ method: 'PUT', path: '/fleets/new' });
      expect(made).toMatchObject({ status: 503, body: { outcome: 'none' } });
    }
    expect(await one.post('/lora/disable?fleet=alive', { reason: 'now' })).toMatchObject({
      status: 200,
      body: { enabled: false, log_id: logId },
    });
    for (const node of nodes) {
      await until('the kill is seen', async () => {
        const { body } = await node.get('/lora/status?fleet=alive&consistency=eventual');
        return body.enabled === false;
      });
    }
  });

  it('keeps the kills of meanwhile, too, when it goes backwards again', async () => {
    await postgres.stopImmediate();
    await copy.restore();
    await postgres.start();
    for (const node of nodes) {
      await until('the alarm is raised again', () =>
        Promise.resolve(node.replica.output().split('THE LOG WENT BACKWARDS').length === 3),
      );
      expect(await statusOf(node, 'alive')).toMatchObject({ enabled: false, last_reason: 'now' });
      expect(await statusOf(node, 'killed-later')).toMatchObject({ enabled: false });
    }
    expect((await one.post('/lora/disable?fleet=alive', { reason: 'again' })).status).toBe(200);
    for (const node of nodes)
      expect(await statusOf(node, 'alive')).toMatchObject({ enabled: false, last_reason: 'again' });
  });

  it('is trusted again under a new name, without a restart, when an operator has adopted it', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [MAINTENANCE, 'adopt'], {
      env: { PATH: process.env.PATH, DATABASE_URL: postgres.url },
    });
    for (const node of nodes) {
      await until('it is trusted again', async () => (await node.get('/health')).body.status === 'ok');
      expect((await node.get('/health/ready')).status).toBe(200);
      const state = await statusOf(node, 'killed-later');
      expect(state.log_id).not.toBe(logId);
      expect(stdout).toContain(String(state.log_id));
      // What was lost is lost: the operator knows, and has the kills of meanwhile.
      expect(state).toMatchObject({ enabled: true });
      expect(await statusOf(node, 'alive')).toMatchObject({ enabled: false, last_reason: 'again' });
    }
  });

  it('compares generations afresh: tags of the old history name nothing any more', async () => {
    const path = '/lora/status?fleet=killed-later';
    for (const node of nodes) {
      const read = await node.call({ method: 'GET', path, headers: { 'if-none-match': `"${killedTag}"` } });
      expect(read).toMatchObject({ status: 200, body: { enabled: true } });
      const command = await node.call({
        path: '/lora/disable?fleet=killed-later',
        headers: { 'if-match': `"${killedTag}"` },
      });
      expect(command).toMatchObject({ status: 412, body: { code: 'generation-mismatch' } });
      const resumed = await EventStream.open(node.url, '/lora/stream?fleet=killed-later', {
        'last-event-id': killedTag,
      });
      const [state] = await resumed.first(1);
      resumed.close();
      expect(state).toMatchObject({ event: 'state', data: { enabled: true } });
    }
    expect(await other.post('/lora/disable?fleet=killed-later')).toMatchObject({ status: 200 });
    expect(await statusOf(one, 'killed-later')).toMatchObject({ enabled: false });
  });

  it('never takes a standby for the primary, though it answers reads and its log is no shorter', async () => {
    const stream = await EventStream.open(one.url, '/lora/stream?fleet=alive');
    await stream.first(1);
    await postgres.stopImmediate();
    await postgres.becomeStandby();
    await postgres.start();
    expect(await postgres.query('select pg_is_in_recovery() as standby')).toEqual([{ standby: true }]);
    await stream.end();
    expect(stream.events.at(-1)?.event).toBe('stale');
    expect(await one.get('/lora/status?fleet=alive')).toMatchObject({ status: 200, body: { stale: true } });
    expect((await one.get('/lora/status?fleet=alive&consistency=strong')).status).toBe(503);
    expect((await EventStream.open(one.url, '/lora/stream?fleet=alive')).status).toBe(503);
    expect((await one.get('/health/ready')).status).toBe(503);
    await postgres.stopImmediate();
    await postgres.becomePrimary();
    await postgres.start();
    await Promise.all(nodes.map((node) => node.healed()));
    expect((await one.get('/lora/status?fleet=alive')).body).not.toHaveProperty('stale');
  });
});
