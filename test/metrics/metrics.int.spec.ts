import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import type { OpenApp } from '../support/start.js';
import { startOpenApp } from '../support/open-app.js';
import { lockHead } from '../support/head-lock.js';
import { eventually } from '../support/http.js';
import { keyOf, Metrics, type Sample } from '../support/metrics.js';
import { headOf } from '../support/problem.js';
import { EventStream, idOf } from '../support/sse.js';

let service: OpenApp;
beforeAll(async () => {
  service = await startOpenApp({ ACTIVE_LORA_ADAPTER: 'v1' });
});
afterAll(() => service.close());

const read = (): Promise<Metrics> => Metrics.of(service.api);
const one = async (name: string, labels: Record<string, string> = {}): Promise<number | undefined> =>
  (await read()).value(name, labels);

/** By how much each series of commands has grown. */
async function commandsDuring(work: () => Promise<unknown>): Promise<Record<string, number>> {
  const counts = async (): Promise<Record<string, number>> =>
    Object.fromEntries(
      (await read()).samples
        .filter(({ name }) => name === 'lora_commands_total')
        .map(({ labels, value }) => [`${labels.type ?? ''} ${labels.outcome ?? ''}`, value]),
    );
  const before = await counts();
  await work();
  const after = Object.entries(await counts());
  return Object.fromEntries(
    after.map(([key, count]) => [key, count - (before[key] ?? 0)] as const).filter(([, more]) => more !== 0),
  );
}

describe('GET /metrics', () => {
  it('is valid Prometheus text, with a help and a type for each metric', async () => {
    await service.api.send('PUT', '/fleets/text');
    const response = await fetch(`${service.api.url}/metrics`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4; charset=utf-8$/);
    const metrics = new Metrics(await response.text());
    expect([...metrics.helps.keys()].sort()).toStrictEqual([...metrics.types.keys()].sort());
    for (const [name, type] of metrics.types) {
      if (name.startsWith('lora_'))
        expect([name, name.endsWith('_total')]).toStrictEqual([name, type === 'counter']);
    }
  });

  it('has histograms whose buckets add up', async () => {
    const { types, samples } = await read();
    const histograms = [...types].filter(([, type]) => type === 'histogram').map(([name]) => name);
    expect(histograms.filter((name) => name.startsWith('lora_')).sort()).toStrictEqual([
      'lora_append_batch_size',
      'lora_append_seconds',
      'lora_kill_acknowledged_seconds',
      'lora_kill_to_stream_seconds',
      'lora_read_index_seconds',
    ]);
    for (const name of histograms) {
      const groups = new Map<string, Sample[]>();
      for (const sample of samples.filter((each) => each.name === `${name}_bucket`)) {
        const key = keyOf({ name, labels: { ...sample.labels, le: '' } });
        groups.set(key, [...(groups.get(key) ?? []), sample]);
      }
      for (const buckets of groups.values()) {
        const limits = buckets.map(({ labels }) => Number(labels.le?.replace('Inf', 'Infinity')));
        expect(limits).toStrictEqual([...limits].sort((less, more) => less - more));
        expect(limits.at(-1)).toBe(Infinity);
        const counts = buckets.map(({ value }) => value);
        expect(counts).toStrictEqual([...counts].sort((less, more) => less - more));
      }
    }
  });

  it('is not mixed up by what a caller names', async () => {
    await service.api.post('/lora/deploy?fleet=text', { adapter_version: 'v1.2+a:b@c' });
    await service.api.post('/lora/disable?fleet=text', {
      reason: '"}\n# TYPE lora_stale counter\nlora_stale 7',
    });
    expect(await one('lora_stale')).toBe(0);
  });
});

describe('lora_commands_total', () => {
  const post = (command: string, body?: object, headers: Record<string, string> = {}) =>
    service.api.post(`/lora/${command}?fleet=counted`, body, headers);

  it('counts by type and outcome what was taken', async () => {
    const key = { 'idempotency-key': 'counted-1' };
    const counted = await commandsDuring(async () => {
      await service.api.send('PUT', '/fleets/counted', { body: { adapter_version: 'v1' } });
      await service.api.send('PUT', '/fleets/counted');
      await post('deploy', { adapter_version: 'v2' }, key);
      await post('deploy', { adapter_version: 'v2' }, key);
      await post('rollback');
      await post('disable');
      await post('disable');
      await service.api.post('/lora/disable?fleet=*');
      await post('enable');
    });
    expect(counted).toStrictEqual({
      'InitializeFleet appended': 1,
      'InitializeFleet unchanged': 1,
      'DeployAdapter appended': 1,
      'DeployAdapter replayed': 1,
      'RollBackLora appended': 1,
      'DisableLora appended': 3,
      'EnableLora appended': 1,
    });
  });

  it('counts by type and outcome what was refused', async () => {
    const counted = await commandsDuring(async () => {
      await post('disable');
      await post('deploy', { adapter_version: 'v3' });
      await service.api.post('/lora/disable?fleet=nope');
      await service.api.post('/lora/enable?fleet=nope');
      await post('enable', {}, { 'if-match': '1' });
      await post('enable', {}, { 'idempotency-key': 'counted-1' });
      await post('enable', {}, { 'idempotency-key': 'x'.repeat(256) });
    });
    expect(counted).toStrictEqual({
      'DisableLora appended': 1,
      'DeployAdapter kill-switch-active': 1,
      'DisableLora unknown-fleet': 1,
      'EnableLora unknown-fleet': 1,
      'EnableLora generation-mismatch': 1,
      'EnableLora idempotency-key-reused': 1,
      'EnableLora validation-failed': 1,
    });
  });

  it('counts what the log could not take, by whether it may have happened', async () => {
    const outcomes: unknown[] = [];
    const counted = await commandsDuring(async () => {
      const lock = await lockHead(service.database);
      const replies = await Promise.all([post('disable'), post('enable')]);
      for (const { body } of replies) outcomes.push(body.outcome);
      await lock.release();
    });
    const [disable, enable] = outcomes as [string, string];
    expect(outcomes.every((outcome) => outcome === 'none' || outcome === 'unknown')).toBe(true);
    expect(counted).toStrictEqual({
      [`DisableLora unavailable-${disable}`]: 1,
      [`EnableLora unavailable-${enable}`]: 1,
    });
  });
});

describe('the state', () => {
  it('of each fleet follows its commands', async () => {
    const fleet = { fleet: 'followed' };
    expect(await one('lora_fleet_enabled', fleet)).toBeUndefined();
    const steps = [
      () => service.api.send('PUT', '/fleets/followed'),
      () => service.api.post('/lora/disable?fleet=followed'),
      () => service.api.post('/lora/disable?fleet=followed'),
      () => service.api.post('/lora/enable?fleet=followed'),
    ];
    for (const step of steps) {
      const { body } = await step();
      const metrics = await read();
      expect(metrics.value('lora_fleet_enabled', fleet)).toBe(Number(body.enabled));
      expect(metrics.value('lora_fleet_generation', fleet)).toBe(body.generation);
    }
    expect(await one('lora_fleet_enabled', { fleet: 'default' })).toBeDefined();
  });

  it('follows what another replica does', async () => {
    const other = await startOpenApp({}, service.database);
    const { body } = await other.api.post('/lora/disable', { reason: 'by another' });
    await eventually(
      async () => (await one('lora_fleet_generation', { fleet: 'default' })) === body.generation,
    );
    expect(await one('lora_fleet_enabled', { fleet: 'default' })).toBe(0);
    await other.close();
    await service.api.post('/lora/enable');
  });

  it('of the log is where it stands', async () => {
    expect(await one('lora_log_position')).toBe(await headOf(service.database));
    await eventually(async () => (await one('lora_feed_listening')) === 1);
    const metrics = await read();
    expect(metrics.value('lora_stale')).toBe(0);
    expect(metrics.value('lora_log_went_backwards')).toBe(0);
    expect(metrics.value('lora_recorded_at_ahead_seconds')).toBeLessThan(1);
    expect(metrics.value('lora_feed_lag_seconds')).toBeGreaterThanOrEqual(0);
    expect(metrics.value('lora_feed_lag_seconds')).toBeLessThan(3);
  });

  it('says when the flags differ from the log, and when they do no longer', async () => {
    expect(await one('lora_flags_differ')).toBe(0);
    await service.api.post('/lora/disable');
    expect(await one('lora_flags_differ')).toBe(1);
    await service.api.post('/lora/enable');
    expect(await one('lora_flags_differ')).toBe(0);
    await service.api.post('/lora/deploy', { adapter_version: 'v2' });
    expect(await one('lora_flags_differ')).toBe(1);
    await service.api.post('/lora/rollback');
    expect(await one('lora_flags_differ')).toBe(0);
  });
});

describe('what is measured', () => {
  it('of the lane: a batch for each commit, with its commands', async () => {
    const before = await read();
    await Promise.all(Array.from({ length: 30 }, () => service.api.post('/lora/disable')));
    const after = await read();
    const grown = (name: string): number => (after.value(name) ?? 0) - (before.value(name) ?? 0);
    expect(grown('lora_append_batch_size_sum')).toBe(30);
    expect(grown('lora_append_batch_size_count')).toBe(grown('lora_append_seconds_count'));
    expect(grown('lora_append_batch_size_count')).toBeLessThan(30);
    expect(grown('lora_append_seconds_sum')).toBeGreaterThan(0);
    await service.api.post('/lora/enable');
  });

  it('of the read index: reads share confirmations', async () => {
    const before = await read();
    await Promise.all(Array.from({ length: 50 }, () => service.api.get('/lora/status')));
    const after = await read();
    const grown = (name: string): number => (after.value(name) ?? 0) - (before.value(name) ?? 0);
    expect(grown('lora_read_index_reads_total')).toBeGreaterThanOrEqual(50);
    expect(grown('lora_read_index_seconds_count')).toBeGreaterThan(0);
    expect(grown('lora_read_index_seconds_count')).toBeLessThan(50);
  });

  it('of the streams: how many are open, and how long a kill takes to them', async () => {
    expect(await one('lora_streams_open')).toBe(0);
    const streams = [await EventStream.open(service.api.url), await EventStream.open(service.api.url)];
    const { headers } = await service.api.get('/lora/status');
    const wait = { prefer: 'wait=25', 'if-none-match': headers.get('etag') ?? '' };
    const waiting = service.api.get('/lora/status', wait);
    await eventually(async () => (await one('lora_streams_open')) === 3);
    const before = await read();
    const killed = await service.api.post('/lora/disable');
    for (const stream of streams) await stream.withId(idOf(killed));
    await waiting;
    const after = await read();
    const took = 'lora_kill_to_stream_seconds';
    expect((after.value(`${took}_count`) ?? 0) - (before.value(`${took}_count`) ?? 0)).toBe(1);
    expect((after.value(`${took}_sum`) ?? 0) - (before.value(`${took}_sum`) ?? 0)).toBeLessThan(2);
    const enabled = await service.api.post('/lora/enable');
    for (const stream of streams) await stream.withId(idOf(enabled));
    expect(await one(`${took}_count`)).toBe(after.value(`${took}_count`));
    for (const stream of streams) stream.close();
    await eventually(async () => (await one('lora_streams_open')) === 0);
    expect(await one('lora_streams_dropped_total')).toBe(0);
  });

  it('of the feed: how often it had to connect again', async () => {
    const before = (await one('lora_feed_reconnects_total')) ?? 0;
    await service.database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'lora-control-plane feed'`,
    );
    await eventually(async () => (await one('lora_feed_reconnects_total')) === before + 1);
    await eventually(async () => (await one('lora_feed_listening')) === 1);
  });
});
