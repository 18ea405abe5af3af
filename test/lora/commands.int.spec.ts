import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { type TestApp, startApp } from '../support/app.js';
import type { Reply } from '../support/http.js';
import { appendsNothing, expectProblem, headOf } from '../support/problem.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

let service: TestApp;
let made = 0;
let fleet: string;
beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
});
beforeEach(() => {
  fleet = `fleet-${(made += 1)}`;
});
afterAll(() => service.close());

const make = (body?: object): Promise<Reply> => service.api.send('PUT', `/fleets/${fleet}`, { body });
const command = (name: string, body?: object): Promise<Reply> =>
  service.api.post(`/lora/${name}?fleet=${fleet}`, body);
const status = (): Promise<Reply> => service.api.get(`/lora/status?fleet=${fleet}`);
const deployed = async (...versions: readonly string[]): Promise<void> => {
  await make();
  for (const adapter_version of versions) await command('deploy', { adapter_version });
};

/** An accepted command: 200, its ETag, the state whole, one event more, and status tells the same. */
async function expectAccepted(reply: Reply, before: number, state: object): Promise<void> {
  const generation = before + 1;
  expect(reply).toMatchObject({
    status: 200,
    body: {
      fleet,
      generation,
      log_id: expect.stringMatching(UUID) as unknown,
      updated_at: expect.stringMatching(TIME) as unknown,
      last_actor: 'anonymous',
      ...state,
    },
  });
  expect(await headOf(service.database)).toBe(generation);
  const log_id = String(reply.body.log_id);
  expect(reply.headers.get('etag')).toBe(`"${log_id.slice(0, 8)}-${generation}"`);
  expect(reply.headers.get('content-type')).toMatch(/^application\/json/);
  const answered = Object.fromEntries(
    Object.entries(reply.body).filter(
      ([name]) => !['notice', 'receipt', 'status', 'version', 'from_version', 'message'].includes(name),
    ),
  );
  expect((await status()).body).toStrictEqual(answered);
}

describe('disable', () => {
  it('kills, and keeps the version to resume, also when it is repeated', async () => {
    await deployed('v1', 'v2');
    const killed = {
      enabled: false,
      active_adapter_version: null,
      previous_adapter_version: 'v2',
      resume_adapter_version: 'v2',
      rollback_target: 'v1',
      last_operation: 'disabled',
    };
    const before = await headOf(service.database);
    const first = await command('disable', { reason: 'regression_detected', reference: 'INC-7' });
    await expectAccepted(first, before, { ...killed, last_reason: 'regression_detected' });
    expect(first.body).not.toHaveProperty('notice');

    const second = await command('disable');
    await expectAccepted(second, before + 1, { ...killed, last_reason: 'manual_operation' });
    const since = String(first.body.updated_at).slice(11, 19);
    expect(second.body.notice).toBe(`Already disabled since ${since}Z by anonymous.`);
  });

  it('kills the fleet `default` when none is named', async () => {
    const reply = await service.api.post('/lora/disable');
    expect(reply).toMatchObject({ status: 200, body: { fleet: 'default', enabled: false } });
    expect((await status()).status).toBe(404);
    await service.api.post('/lora/enable');
  });
});

describe('disable of all fleets', () => {
  it('is one commit with an event for each, and answers them by name', async () => {
    await deployed('v1');
    const all = await service.api.get('/fleets?limit=500');
    const names = (all.body.fleets as unknown as { fleet: string }[]).map((each) => each.fleet);
    const before = await headOf(service.database);
    const reply = await service.api.post('/lora/disable?fleet=*', { reason: 'everything_off' });
    expect(reply.status).toBe(200);
    const { fleets, ...others } = reply.body as unknown as {
      fleets: { fleet: string; generation: number }[];
    };
    expect(others).toStrictEqual({});
    expect(fleets.map((each) => each.fleet)).toStrictEqual(names);
    expect(fleets.map(({ generation }) => generation)).toStrictEqual(names.map((_, i) => before + 1 + i));
    for (const each of fleets) {
      expect(each).toMatchObject({
        enabled: false,
        active_adapter_version: null,
        last_operation: 'disabled',
        last_reason: 'everything_off',
      });
    }
    expect(await headOf(service.database)).toBe(before + names.length);
    const times = await service.database.query<{ transactions: string }>(
      'select count(distinct xmin::text) as transactions from events where position > $1',
      [before],
    );
    expect(Number(times[0]?.transactions)).toBe(1);
    expect((await status()).body).toMatchObject({ enabled: false, resume_adapter_version: 'v1' });
    await service.api.post('/lora/enable');
  });
});

describe('enable', () => {
  it('brings back what was active', async () => {
    await deployed('v1', 'v2');
    await command('disable');
    const before = await headOf(service.database);
    const reply = await command('enable', { reason: 'post_incident_reenable' });
    await expectAccepted(reply, before, {
      enabled: true,
      active_adapter_version: 'v2',
      previous_adapter_version: 'v2',
      resume_adapter_version: null,
      rollback_target: 'v1',
      last_operation: 'enabled',
      last_reason: 'post_incident_reenable',
    });
    expect(reply.body).not.toHaveProperty('notice');
  });

  it('takes a version, and says when it was never active', async () => {
    await deployed('v1', 'v2');
    await command('disable');
    const before = await headOf(service.database);
    const old = await command('enable', { adapter_version: 'v1' });
    await expectAccepted(old, before, { enabled: true, active_adapter_version: 'v1', rollback_target: null });
    expect(old.body).not.toHaveProperty('notice');

    const fresh = await command('enable', { adapter_version: 'v1.2' });
    await expectAccepted(fresh, before + 1, { active_adapter_version: 'v1.2', rollback_target: 'v1' });
    expect(fresh.body.notice).toBe(`v1.2 was never active in fleet ${fleet}.`);
  });

  it('says when there is nothing to bring back', async () => {
    await make({ enabled: false });
    const before = await headOf(service.database);
    const reply = await command('enable');
    await expectAccepted(reply, before, { enabled: true, active_adapter_version: null });
    expect(reply.body.notice).toMatch(/base model/);
  });

  it('of a fleet that is enabled is an event too', async () => {
    await deployed('v1');
    const before = await headOf(service.database);
    await expectAccepted(await command('enable'), before, { enabled: true, active_adapter_version: 'v1' });
  });
});

describe('rollback', () => {
  it('walks back version by version to the base model', async () => {
    await deployed('v1', 'v2', 'v3');
    const before = await headOf(service.database);
    const rolledBack = { enabled: true, last_operation: 'rollback', last_reason: 'rollback_to_previous' };
    const body = { reason: 'rollback_to_previous' };
    await expectAccepted(await command('rollback', body), before, {
      ...rolledBack,
      active_adapter_version: 'v2',
      previous_adapter_version: 'v3',
      rollback_target: 'v1',
    });
    await expectAccepted(await command('rollback', body), before + 1, {
      ...rolledBack,
      active_adapter_version: 'v1',
      previous_adapter_version: 'v2',
      rollback_target: null,
    });
    const last = await command('rollback', body);
    await expectAccepted(last, before + 2, {
      ...rolledBack,
      active_adapter_version: null,
      previous_adapter_version: 'v1',
      rollback_target: null,
    });
    expect(last.body.notice).toBe('No earlier version: fell back to the base model.');
    const again = await command('rollback', body);
    await expectAccepted(again, before + 3, { ...rolledBack, active_adapter_version: null });
    expect(again.body.rollback_history).toHaveLength(4);
  });

  it('goes to the version given, and says when it was never active', async () => {
    await deployed('v1', 'v2', 'v3');
    const before = await headOf(service.database);
    const known = await command('rollback', { adapter_version: 'v1', reason: 'rollback_to_known_good' });
    await expectAccepted(known, before, { active_adapter_version: 'v1', rollback_target: null });
    expect(known.body).not.toHaveProperty('notice');
    const unknown = await command('rollback', { adapter_version: 'v0.9' });
    await expectAccepted(unknown, before + 1, { active_adapter_version: 'v0.9' });
    expect(unknown.body.notice).toBe(`v0.9 was never active in fleet ${fleet}.`);
  });

  it('while disabled stays disabled and changes what enable will bring', async () => {
    await deployed('v1.2', 'v2');
    await command('disable');
    const before = await headOf(service.database);
    const reply = await command('rollback');
    await expectAccepted(reply, before, {
      enabled: false,
      active_adapter_version: null,
      resume_adapter_version: 'v1.2',
      last_operation: 'rollback',
    });
    expect(reply.body.notice).toBe('LoRA stays DISABLED; enable will bring v1.2.');
    expect(reply.body.rollback_history).toMatchObject([
      { from_version: 'v2', to_version: 'v1.2', enabled: false, generation: before + 1 },
    ]);
  });
});

describe.each([
  ['POST /lora/deploy', (version: string) => command('deploy', { adapter_version: version })],
  [
    'POST /adapters/{version}/deploy',
    (version: string) => service.api.post(`/adapters/${encodeURIComponent(version)}/deploy?fleet=${fleet}`),
  ],
])('%s', (_, deploy) => {
  it('makes the version active', async () => {
    await make();
    const before = await headOf(service.database);
    const first = await deploy('v1');
    await expectAccepted(first, before, {
      enabled: true,
      active_adapter_version: 'v1',
      previous_adapter_version: null,
      last_operation: 'deployed',
      last_reason: 'manual_deploy',
      status: 'deployed',
      version: 'v1',
      from_version: null,
    });
    const second = await deploy('v2:rc+1@x');
    await expectAccepted(second, before + 1, {
      active_adapter_version: 'v2:rc+1@x',
      previous_adapter_version: 'v1',
      rollback_target: 'v1',
      status: 'deployed',
      version: 'v2:rc+1@x',
      from_version: 'v1',
    });
    expect(second.body.message).toMatch(/v2:rc\+1@x/);
  });

  it('of the active version is an event too', async () => {
    await deployed('v1');
    const before = await headOf(service.database);
    const reply = await deploy('v1');
    await expectAccepted(reply, before, { active_adapter_version: 'v1', from_version: 'v1', version: 'v1' });
  });

  it('is refused while the kill-switch is active', async () => {
    await deployed('v1');
    await command('disable');
    await appendsNothing(service.database, async () => {
      const reply = await deploy('v2');
      expect(reply.status).toBe(409);
      expect(reply.body).toMatchObject({
        code: 'kill-switch-active',
        detail: 'LoRA is disabled by kill-switch. Re-enable via POST /lora/enable before deploying adapters.',
        notice: 'Nothing was changed. LoRA is DISABLED.',
      });
      expect(reply.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    });
  });
});

it('POST /adapters/{version}/deploy takes a reason and a reference', async () => {
  await make();
  const reply = await service.api.post(`/adapters/v1/deploy?fleet=${fleet}`, {
    reason: 'canary_ok',
    reference: 'J-1',
  });
  expect(reply).toMatchObject({ status: 200, body: { last_reason: 'canary_ok' } });
  const { body } = await service.api.get(`/lora/history?fleet=${fleet}&reference=J-1`);
  expect(body.events).toMatchObject([{ type: 'AdapterDeployed', reason: 'canary_ok', reference: 'J-1' }]);
});

describe('a fleet that does not exist', () => {
  it.each([
    ['/lora/disable', undefined],
    ['/lora/enable', undefined],
    ['/lora/rollback', undefined],
    ['/lora/deploy', { adapter_version: 'v1' }],
    ['/adapters/v1/deploy', undefined],
  ])('POST %s is 404 and names the fleets there are', async (path, body) => {
    await appendsNothing(service.database, async () => {
      const reply = await service.api.post(`${path}?fleet=no-such`, body);
      expectProblem(reply, 'unknown-fleet', path);
      expect(reply.body.detail).toMatch(/no-such.*\bdefault\b/);
      expect(reply.body.notice).toMatch(/^Nothing was changed\./);
    });
  });
});

it('fleets do not move one another', async () => {
  await deployed('v1');
  const other = (await status()).body;
  await service.api.post('/lora/deploy', { adapter_version: 'v7' });
  await service.api.post('/lora/disable');
  expect((await status()).body).toStrictEqual(other);
  await service.api.post('/lora/enable');
});
