import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { readSettings } from '../../src/config/settings.js';
import { closeApp, createApp, listen } from '../../src/configure-app.js';
import { Database } from '../../src/database/database.js';
import { EventStore } from '../../src/event-store/event-store.js';
import { FirstStart } from '../../src/lora/first-start.js';
import type { OpenApp } from '../support/start.js';
import { startOpenApp } from '../support/open-app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { Api } from '../support/http.js';
import { expectProblem, headOf } from '../support/problem.js';

let database: TestDatabase;
const running: OpenApp[] = [];
beforeEach(async () => {
  database = await createDatabase();
});
afterEach(async () => {
  for (const service of running.splice(0)) await service.close();
  await database.drop();
});

async function start(env: Record<string, string>): Promise<OpenApp> {
  const service = await startOpenApp(env, database);
  running.push(service);
  return service;
}
async function stop(service: OpenApp): Promise<void> {
  running.splice(running.indexOf(service), 1);
  await service.close();
}
const status = async ({ api }: OpenApp) => (await api.get('/lora/status')).body;
const flagsDiffer = async ({ api }: OpenApp): Promise<unknown> =>
  (await api.get('/health')).body.flags_differ;
const warnings = ({ logged }: OpenApp) => logged.filter((line) => line.includes('flags do not override'));

describe('the first start', () => {
  it.each([
    [{}, { enabled: true, active_adapter_version: null, resume_adapter_version: null }],
    [
      { ACTIVE_LORA_ADAPTER: 'v1.2' },
      { enabled: true, active_adapter_version: 'v1.2', resume_adapter_version: null },
    ],
    [
      { LORA_ENABLED: 'true', ACTIVE_LORA_ADAPTER: 'v1.2' },
      { enabled: true, active_adapter_version: 'v1.2', resume_adapter_version: null },
    ],
    [
      { LORA_ENABLED: 'false' },
      { enabled: false, active_adapter_version: null, resume_adapter_version: null },
    ],
    [
      { LORA_ENABLED: 'false', ACTIVE_LORA_ADAPTER: 'v1.2' },
      { enabled: false, active_adapter_version: null, resume_adapter_version: 'v1.2' },
    ],
  ])('with %j makes the fleet `default`', async (env, expected) => {
    const service = await start(env);
    expect(await status(service)).toMatchObject({
      fleet: 'default',
      generation: 1,
      previous_adapter_version: null,
      last_operation: 'initialized',
      last_actor: 'system',
      ...expected,
    });
    const { body } = await service.api.get('/lora/history');
    expect(body.events).toMatchObject([
      { type: 'LoraInitialized', actor: 'system', auth: 'boot', position: 1 },
    ]);
    expect(await flagsDiffer(service)).toBe(false);
    expect(warnings(service)).toStrictEqual([]);
  });

  it('with an adapter and LoRA off is resumed by an enable', async () => {
    const service = await start({ LORA_ENABLED: 'false', ACTIVE_LORA_ADAPTER: 'v1.2' });
    const refused = await service.api.post('/lora/deploy', { adapter_version: 'v2' });
    expect(refused).toMatchObject({ status: 409, body: { code: 'kill-switch-active' } });
    const { body } = await service.api.post('/lora/enable');
    expect(body).toMatchObject({ enabled: true, active_adapter_version: 'v1.2' });
    expect(body).not.toHaveProperty('notice');
  });
});

describe('a later start', () => {
  it('with the same flags says nothing', async () => {
    const env = { LORA_ENABLED: 'false', ACTIVE_LORA_ADAPTER: 'v1.2' };
    await stop(await start(env));
    const second = await start(env);
    expect(await headOf(database)).toBe(1);
    expect(await flagsDiffer(second)).toBe(false);
    expect(warnings(second)).toStrictEqual([]);
  });

  it.each([
    [{ LORA_ENABLED: 'true', ACTIVE_LORA_ADAPTER: 'v1.2' }, ['LORA_ENABLED']],
    [{ LORA_ENABLED: 'false', ACTIVE_LORA_ADAPTER: 'v9' }, ['ACTIVE_LORA_ADAPTER', 'v9', 'v1.2']],
    [{ ACTIVE_LORA_ADAPTER: 'v9' }, ['LORA_ENABLED', 'ACTIVE_LORA_ADAPTER']],
    [{}, ['LORA_ENABLED']],
  ])('with %j does not override the log, and says so', async (env, words) => {
    const first = await start({ LORA_ENABLED: 'false', ACTIVE_LORA_ADAPTER: 'v1.2' });
    const before = await status(first);
    await stop(first);

    const second = await start(env);
    expect(await status(second)).toStrictEqual(before);
    expect(await headOf(database)).toBe(1);
    expect(await flagsDiffer(second)).toBe(true);
    const [warning = '', ...more] = warnings(second);
    expect(more).toStrictEqual([]);
    for (const word of words) expect(warning).toContain(word);
  });

  it('after a kill stays killed, although the flags say enabled', async () => {
    const env = { LORA_ENABLED: 'true', ACTIVE_LORA_ADAPTER: 'v1' };
    const first = await start(env);
    await first.api.post('/lora/disable', { reason: 'regression_detected' });
    const before = await status(first);
    expect(await flagsDiffer(first)).toBe(true);
    await stop(first);

    const second = await start(env);
    expect(await status(second)).toStrictEqual(before);
    expect(before).toMatchObject({ enabled: false, active_adapter_version: null, generation: 2 });
    expect(await flagsDiffer(second)).toBe(true);
    expect(warnings(second)).toHaveLength(1);
    await second.api.post('/lora/enable');
    expect(await flagsDiffer(second)).toBe(false);
  });

  it('with a log that has fleets but not `default` makes `default`', async () => {
    const first = await start({});
    await first.api.send('PUT', '/fleets/canary');
    await stop(first);
    const second = await start({});
    expect(await headOf(database)).toBe(2);
    expect((await second.api.get('/fleets')).body.fleets).toMatchObject([
      { fleet: 'canary' },
      { fleet: 'default' },
    ]);
  });
});

it('between the opening of the log and the first start no kill is told that its fleet does not exist', async () => {
  const settings = readSettings({ PORT: '0', DATABASE_URL: database.url });
  const silent = (): void => undefined;
  const app = await createApp(settings, { log: silent, warn: silent, error: silent });
  try {
    const api = new Api(await listen(app, settings));
    await app.get(Database).open();
    await app.get(EventStore).open();
    const kill = await api.post('/lora/disable');
    expectProblem(kill, 'log-unavailable', '/lora/disable');
    expect(kill.body).toMatchObject({
      outcome: 'none',
      detail: expect.stringMatching(/no fleet yet/) as unknown,
    });
    await app.get(FirstStart).run();
    expect(await api.post('/lora/disable')).toMatchObject({ status: 200, body: { enabled: false } });
    expectProblem(await api.post('/lora/disable?fleet=nope'), 'unknown-fleet', '/lora/disable');
  } finally {
    await closeApp(app);
  }
});

it('two first starts at the same time make one fleet', async () => {
  await Promise.all([start({ ACTIVE_LORA_ADAPTER: 'v1' }), start({ ACTIVE_LORA_ADAPTER: 'v2' })]);
  expect(await headOf(database)).toBe(1);
  const states = await Promise.all(running.map(status));
  expect(states[0]).toStrictEqual(states[1]);
});
