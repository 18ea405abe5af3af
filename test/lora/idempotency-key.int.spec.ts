import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { type TestApp, startApp } from '../support/app.js';
import type { Reply } from '../support/http.js';
import { Metrics } from '../support/metrics.js';
import { appendsNothing, expectInvalid, expectProblem, headOf } from '../support/problem.js';

let service: TestApp;
let made = 0;
let fleet: string;
let key: string;
let tag: string;
beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
});
beforeEach(async () => {
  made += 1;
  fleet = `fleet-${made}`;
  key = `key-${made}`;
  const reply = await service.api.send('PUT', `/fleets/${fleet}`, { body: { adapter_version: 'v1' } });
  tag = reply.headers.get('etag') ?? '';
});
afterAll(() => service.close());

const command = (name: string, body?: object, headers: Record<string, string> = {}): Promise<Reply> =>
  service.api.post(`/lora/${name}?fleet=${fleet}`, body, headers);
const keyed = (name: string, body?: object, headers: Record<string, string> = {}): Promise<Reply> =>
  command(name, body, { 'idempotency-key': key, ...headers });

/** The first answer again: no event more, and it says that it is a replay. */
function expectReplay(reply: Reply, first: Reply, supersededBy?: number): void {
  expect(reply.status).toBe(200);
  expect(reply.headers.get('idempotency-replayed')).toBe('true');
  expect(reply.headers.get('etag')).toBe(first.headers.get('etag'));
  expect(reply.headers.get('lora-superseded-by')).toBe(
    supersededBy === undefined ? null : String(supersededBy),
  );
  const { notice, ...body } = reply.body;
  const { notice: firstNotice, ...firstBody } = first.body;
  expect(body).toStrictEqual(firstBody);
  if (supersededBy === undefined) expect(notice).toBe(firstNotice);
  else expect(notice).toMatch(new RegExp(`\\b${supersededBy}\\b`));
}

describe('Idempotency-Key', () => {
  it.each([
    ['disable', { reason: 'regression_detected' }],
    ['disable', undefined],
    ['enable', undefined],
    ['enable', { adapter_version: 'v2' }],
    ['rollback', undefined],
    ['rollback', { adapter_version: 'v0' }],
    ['deploy', { adapter_version: 'v2', reason: 'r', reference: 'T-1' }],
  ])('of a %s with %j: a repeat is the first answer again', async (name, body) => {
    const first = await keyed(name, body);
    expect(first.status).toBe(200);
    expect(first.headers.has('idempotency-replayed')).toBe(false);
    await appendsNothing(service.database, async () => {
      expectReplay(await keyed(name, body), first);
    });
    const moved = await command('enable', { adapter_version: 'v8' });
    await appendsNothing(service.database, async () => {
      const replay = await keyed(name, body);
      expectReplay(replay, first, Number(moved.body.generation));
      expect(String(replay.body.notice)).toContain((first.body as { notice?: string }).notice ?? '');
    });
  });

  it('of a replayed kill whose fleet was enabled since: it does not look like a fresh one', async () => {
    const first = await keyed('disable');
    const enabled = await command('enable');
    const replay = await keyed('disable');
    expectReplay(replay, first, Number(enabled.body.generation));
    expect(replay.body.notice).toMatch(/LoRA is ENABLED now/);
    expect((await service.api.get(`/lora/status?fleet=${fleet}`)).body.enabled).toBe(true);
  });

  it('is the same for both addresses of a deploy', async () => {
    const first = await keyed('deploy', { adapter_version: 'v2' });
    const path = `/adapters/v2/deploy?fleet=${fleet}`;
    await appendsNothing(service.database, async () => {
      expectReplay(await service.api.post(path, undefined, { 'idempotency-key': key }), first);
    });
  });

  it('of a PUT: a repeat is the first answer again', async () => {
    const put = (body: object) =>
      service.api.send('PUT', `/fleets/${fleet}-put`, { body, headers: { 'idempotency-key': key } });
    const first = await put({ adapter_version: 'v1' });
    expect(first.status).toBe(201);
    await appendsNothing(service.database, async () => {
      const replay = await put({ adapter_version: 'v1' });
      expect(replay.headers.get('idempotency-replayed')).toBe('true');
      expect(replay.body).toStrictEqual(first.body);
      expectProblem(await put({ adapter_version: 'v2' }), 'idempotency-key-reused', `/fleets/${fleet}-put`);
      expectProblem(
        await put({ adapter_version: 'v1', enabled: false }),
        'idempotency-key-reused',
        `/fleets/${fleet}-put`,
      );
    });
  });

  it('of a kill of all fleets: a repeat is the first answer again, also when there are more fleets', async () => {
    const kill = () =>
      service.api.post('/lora/disable?fleet=*', { reason: 'all' }, { 'idempotency-key': key });
    const first = await kill();
    expect(first.status).toBe(200);
    await appendsNothing(service.database, async () => {
      const replay = await kill();
      expect(replay).toMatchObject({ status: 200, body: first.body });
      expect(replay.headers.get('idempotency-replayed')).toBe('true');
      expect(replay.headers.get('lora-superseded-by')).toBeNull();
    });
    expect(first.body).not.toHaveProperty('notice');
    await service.api.send('PUT', `/fleets/${fleet}-later`);
    const moved = await command('enable');
    await appendsNothing(service.database, async () => {
      const replay = await kill();
      expect(replay.headers.get('lora-superseded-by')).toBe(String(moved.body.generation));
      expect(replay.body.notice).toContain(`fleets made since are NOT killed by it (1: ${fleet}-later)`);
      const states = replay.body.fleets as unknown as { fleet: string; enabled: boolean; notice?: string }[];
      expect(states).toHaveLength((first.body.fleets as unknown as unknown[]).length);
      expect(states.every(({ enabled }) => !enabled)).toBe(true);
      const told = states.filter(({ notice }) => notice?.includes('LoRA is ENABLED now'));
      expect(told.map((each) => each.fleet)).toStrictEqual([fleet]);
    });
    await service.api.post('/lora/enable');
  });

  it('of a kill of all fleets is told again after one question to the log, not one for each fleet', async () => {
    const fleets = Array.from({ length: 40 }, (_, nth) => `/fleets/${fleet}-${nth}`);
    await Promise.all(fleets.map((path) => service.api.send('PUT', path)));
    const kill = () => service.api.post('/lora/disable?fleet=*', {}, { 'idempotency-key': key });
    const first = await kill();
    const asked = async () => (await Metrics.of(service.api)).value('lora_read_index_reads_total') ?? 0;
    const before = await asked();
    expect(await kill()).toMatchObject({ status: 200, body: first.body });
    // The replica asks of itself now and then, too.
    expect((await asked()) - before).toBeLessThan(fleets.length);
    await service.api.post('/lora/enable');
  });

  describe('with another command', () => {
    const first = { adapter_version: 'v2', reason: 'r' };
    it.each([
      ['another version', 'enable', { ...first, adapter_version: 'v3' }, {}],
      ['no version', 'enable', { reason: 'r' }, {}],
      ['another reason', 'enable', { ...first, reason: 's' }, {}],
      ['the default reason', 'enable', { adapter_version: 'v2' }, {}],
      ['another type', 'rollback', first, {}],
      ['another type', 'deploy', first, {}],
      ['If-Match', 'enable', first, { 'if-match': '*' }],
    ])('is 422: %s', async (_, name, body, headers) => {
      const accepted = await keyed('enable', first);
      await appendsNothing(service.database, async () => {
        const reply = await keyed(name, body, headers);
        expectProblem(reply, 'idempotency-key-reused', `/lora/${name}`);
        expect(reply.body.notice).toBe('Nothing was changed. LoRA is ENABLED.');
      });
      expectReplay(await keyed('enable', first), accepted);
    });

    it('is 422: another fleet', async () => {
      await keyed('enable', first);
      await appendsNothing(service.database, async () => {
        const reply = await service.api.post('/lora/enable?fleet=default', first, { 'idempotency-key': key });
        expectProblem(reply, 'idempotency-key-reused', '/lora/enable');
      });
    });

    it('is 422 before anything else that could refuse it', async () => {
      await keyed('enable', first);
      await command('disable');
      await appendsNothing(service.database, async () => {
        const deploy = await keyed('deploy', first, { 'if-match': '"00000000-1"' });
        expectProblem(deploy, 'idempotency-key-reused', '/lora/deploy');
        expect(deploy.body.notice).toBe('Nothing was changed. LoRA is DISABLED.');
        const unknown = await service.api.post('/lora/enable?fleet=no-such', first, {
          'idempotency-key': key,
        });
        expectProblem(unknown, 'idempotency-key-reused', '/lora/enable');
      });
    });

    it('kills all the same, if it is a kill', async () => {
      const enabled = await keyed('enable', first);
      const before = await headOf(service.database);
      const kill = await keyed('disable', { reason: 'regression_detected' });
      expect(kill).toMatchObject({
        status: 200,
        body: { enabled: false, generation: before + 1, last_reason: 'regression_detected' },
      });
      expect(kill.headers.has('idempotency-replayed')).toBe(false);
      expect(kill.body.notice).toMatch(/Idempotency-Key belongs to another command/);
      expectReplay(await keyed('enable', first), enabled, before + 1);
    });

    it('kills all the same with the key of another kill', async () => {
      await keyed('disable', { reason: 'first' });
      await command('enable');
      const before = await headOf(service.database);
      const kill = await keyed('disable', { reason: 'second' });
      expect(kill.body).toMatchObject({ enabled: false, generation: before + 1, last_reason: 'second' });
      const all = await service.api.post(
        '/lora/disable?fleet=*',
        { reason: 'first' },
        { 'idempotency-key': key },
      );
      expect(all.status).toBe(200);
      expect(await headOf(service.database)).toBeGreaterThan(before + 1);
      await service.api.post('/lora/enable');
    });
  });

  it('a replay wins over a refusal: of a deploy after a kill, and of a generation that has passed', async () => {
    const match = { 'if-match': tag };
    const deployed = await keyed('deploy', { adapter_version: 'v2' }, match);
    expect(deployed.status).toBe(200);
    const killed = await command('disable');
    await appendsNothing(service.database, async () => {
      const replay = await keyed('deploy', { adapter_version: 'v2' }, match);
      expectReplay(replay, deployed, Number(killed.body.generation));
      expect(replay.body).toMatchObject({ status: 'deployed', version: 'v2', from_version: 'v1' });
      expect(replay.body.notice).toMatch(/LoRA is DISABLED now/);
    });
  });

  it('of a refused command is not remembered', async () => {
    await command('disable');
    expect((await keyed('deploy', { adapter_version: 'v2' })).status).toBe(409);
    await command('enable');
    expect((await keyed('deploy', { adapter_version: 'v2' })).status).toBe(200);
  });

  it('sent by many at the same time is one event', async () => {
    const before = await headOf(service.database);
    const replies = await Promise.all(
      Array.from({ length: 50 }, () => keyed('deploy', { adapter_version: 'v2' })),
    );
    expect(new Set(replies.map(({ status }) => status))).toStrictEqual(new Set([200]));
    expect(replies.filter(({ headers }) => !headers.has('idempotency-replayed'))).toHaveLength(1);
    expect(new Set(replies.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect(await headOf(service.database)).toBe(before + 1);
  });

  it('may have 255 characters, and every printable one of ASCII', async () => {
    const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i))
      .join('')
      .trim();
    for (const value of ['k'.repeat(255), printable, '0']) {
      const headers = { 'idempotency-key': value };
      const first = await command('enable', undefined, headers);
      expect(first.status).toBe(200);
      await appendsNothing(service.database, async () => {
        expectReplay(await command('enable', undefined, headers), first);
      });
    }
  });

  it.each([['k'.repeat(256)], ['caf\u00e9'], ['a\tb'], ['']])('of a bad form is 400: %j', async (value) => {
    await appendsNothing(service.database, async () => {
      for (const [name, body] of [['enable'], ['rollback'], ['deploy', { adapter_version: 'v2' }]] as const) {
        const reply = await command(name, body, { 'idempotency-key': value });
        expectInvalid(reply, 'Idempotency-Key', `/lora/${name}`);
      }
      const put = await service.api.send('PUT', `/fleets/${fleet}`, {
        headers: { 'idempotency-key': value },
      });
      expectInvalid(put, 'Idempotency-Key', `/fleets/${fleet}`);
    });
  });

  it('is given by the service when there is none, another for each command', async () => {
    const keys: string[] = [];
    for (let i = 0; i < 2; i++) {
      await command('enable');
      const { body } = await service.api.get('/lora/history?limit=1');
      keys.push((body.events as unknown as { idempotency_key: string }[])[0]?.idempotency_key ?? '');
    }
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(keys[1]).not.toBe(keys[0]);
  });
});
