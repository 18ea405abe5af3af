import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { startApp, type TestApp } from '../support/app.js';
import { eventually, type Reply } from '../support/http.js';
import { Metrics } from '../support/metrics.js';
import { expectInvalid, expectProblem } from '../support/problem.js';
import { EventStream } from '../support/sse.js';

let one: TestApp;
let two: TestApp;
let fleet: string;
let logId: string;

beforeAll(async () => {
  one = await startApp({ ENGINE_TTL_SECONDS: '2' });
  two = await startApp({ ENGINE_TTL_SECONDS: '2' }, one.database);
});

afterAll(async () => {
  await two.close();
  await one.close();
});

beforeEach(async () => {
  fleet = `f-${randomUUID().slice(0, 8)}`;
  const made = await one.api.send('PUT', `/fleets/${fleet}`, { body: { adapter_version: 'v1' } });
  logId = stateOf(made).log_id;
});

/** What these tests look at of a state, a convergence or a page. */
interface Told {
  readonly log_id: string;
  readonly fleet: string;
  readonly generation: number;
  readonly enabled: boolean;
  readonly state: string;
  readonly converged: boolean | null;
  readonly engines: readonly { readonly id: string }[];
  readonly fleets: readonly Told[];
  readonly next_cursor: string;
  readonly detail: string;
}

const stateOf = ({ body }: Reply): Told => body as unknown as Told;

const name = (id: string) => `${fleet}-${id}`;

function report(id: string, generation: number | null, adapters: readonly string[], more: object = {}) {
  return {
    path: `/engines/${name(id)}?fleet=${fleet}`,
    body: {
      observed_generation: generation,
      log_id: generation === null ? null : logId,
      observed_adapters: adapters,
      state: 'converged',
      ...more,
    },
  };
}

function put(
  app: TestApp,
  id: string,
  generation: number | null,
  adapters: readonly string[],
  more: object = {},
): Promise<Reply> {
  const { path, body } = report(id, generation, adapters, more);
  return app.api.send('PUT', path, { body });
}

async function generationOf(): Promise<number> {
  return stateOf(await one.api.get(`/lora/status?fleet=${fleet}`)).generation;
}

async function convergence(app = one, generation?: number): Promise<Told> {
  const asked = generation === undefined ? '' : `&generation=${generation}`;
  return stateOf(await app.api.get(`/lora/convergence?fleet=${fleet}${asked}`));
}

const kill = (prefer?: string) =>
  one.api.post(`/lora/disable?fleet=${fleet}`, {}, prefer === undefined ? {} : { prefer });

describe('an engine', () => {
  it('is registered by its first report, and seen by every replica', async () => {
    const generation = await generationOf();
    const more = {
      capabilities: { runtime_load: true, kill_is_sticky: false, observes_path: true, drains: false },
      base_model: 'llama',
      agent_version: '0.1.0',
      last_error: null,
      local_kill: false,
    };
    expect(await put(one, 'a', generation, ['v1'], more)).toMatchObject({
      status: 200,
      body: { id: name('a'), fleet, generation },
    });
    expect(await two.api.get(`/engines/${name('a')}`)).toMatchObject({
      status: 200,
      body: {
        id: name('a'),
        fleet,
        state: 'converged',
        observed_generation: generation,
        log_id: logId,
        observed_adapters: ['v1'],
        ...more,
      },
    });
  });

  it('is lost when it has not been heard of for the time to live, and is back with its next report', async () => {
    await put(one, 'a', null, [], { state: 'unreachable' });
    const engine = () => two.api.get(`/engines/${name('a')}`).then((reply) => stateOf(reply).state);
    expect(await engine()).toBe('unreachable');
    await eventually(async () => (await engine()) === 'lost');
    expect(await convergence()).toMatchObject({ converged: false, lost: [name('a')] });
    await put(two, 'a', null, [], { state: 'pending' });
    expect(await engine()).toBe('pending');
  });

  it('is gone after a DELETE, and 404 from then on', async () => {
    await put(one, 'a', null, [], { state: 'pending' });
    expect((await two.api.send('DELETE', `/engines/${name('a')}`)).status).toBe(204);
    expectProblem(await one.api.get(`/engines/${name('a')}`), 'unknown-engine', `/engines/${name('a')}`);
    expectProblem(
      await one.api.send('DELETE', `/engines/${name('a')}`),
      'unknown-engine',
      `/engines/${name('a')}`,
    );
    expect(await convergence()).toMatchObject({ converged: null, engines: 0 });
    expect((await put(one, 'a', null, [], { state: 'pending' })).status).toBe(200);
  });

  it('stands in one fleet only', async () => {
    await put(one, 'a', null, [], { state: 'pending' });
    const { body } = report('a', null, [], { state: 'pending' });
    const reply = await two.api.send('PUT', `/engines/${name('a')}?fleet=default`, { body });
    expectProblem(reply, 'engine-in-other-fleet', `/engines/${name('a')}`);
    expect(stateOf(reply).detail).toContain(fleet);
    expect((await one.api.get(`/engines/${name('a')}`)).body.fleet).toBe(fleet);
  });

  it('of a fleet that does not exist is not registered', async () => {
    const { body } = report('x', null, [], { state: 'pending' });
    const reply = await one.api.send('PUT', '/engines/x?fleet=nowhere', { body });
    expectProblem(reply, 'unknown-fleet', '/engines/x');
    expectProblem(await one.api.get('/engines/x'), 'unknown-engine', '/engines/x');
  });

  it('is registered once, however many replicas hear of it first', async () => {
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, nth) => put(nth % 2 ? one : two, 'a', null, [], { state: 'pending' })),
    );
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]));
    const rows = await one.database.query('select from engine_registrations where engine = $1', [name('a')]);
    expect(rows).toHaveLength(1);
  });

  it('is listed by pages', async () => {
    for (const id of ['a', 'b', 'c']) await put(one, id, null, [], { state: 'pending' });
    const first = stateOf(await one.api.get(`/engines?fleet=${fleet}&limit=2`));
    expect(first.engines.map(({ id }) => id)).toEqual([name('a'), name('b')]);
    const next = await one.api.get(`/engines?fleet=${fleet}&limit=2&cursor=${first.next_cursor}`);
    expect(next.body).toMatchObject({ engines: [{ id: name('c') }], next_cursor: null });
    expect(stateOf(await one.api.get('/engines?limit=500')).engines.length).toBeGreaterThanOrEqual(3);
  });

  it.each([
    ['observed_generation', { observed_generation: '7' }],
    ['observed_generation', { observed_generation: 0 }],
    ['log_id', { log_id: 'x' }],
    ['observed_adapters', { observed_adapters: 'v1' }],
    ['observed_adapters', { observed_adapters: [1] }],
    ['observed_adapters', { observed_adapters: undefined }],
    ['state', { state: 'fine' }],
    ['capabilities', { capabilities: { runtime_load: true } }],
    ['local_kill', { local_kill: 'yes' }],
    ['last_error', { last_error: 'x'.repeat(1001) }],
    ['generation', { generation: 1 }],
  ])('is told what is wrong with its %s', async (field, more) => {
    const reply = await put(one, 'bad', 1, [], more);
    expectInvalid(reply, field, `/engines/${name('bad')}`);
  });

  it('must have an id that is one', async () => {
    const { body } = report('x', null, []);
    expectInvalid(await one.api.send('PUT', '/engines/a%20b', { body }), 'id', '/engines/a%20b');
  });
});

describe('convergence', () => {
  it('is null without engines, true when all match, and false again when one does not', async () => {
    expect(await convergence()).toMatchObject({ converged: null, engines: 0, acknowledged: 0 });
    const generation = await generationOf();
    await put(one, 'a', generation, ['v1']);
    await put(two, 'b', generation, ['v1']);
    expect(await convergence(two)).toMatchObject({
      generation,
      converged: true,
      engines: 2,
      acknowledged: 2,
    });
    // The agent says so; the service looks for itself.
    await put(two, 'b', generation, ['v1', 'stray']);
    expect(await convergence()).toMatchObject({ converged: false, pending: [name('b')] });
  });

  it.each<[string, (generation: number) => [number, string[], object]]>([
    ['another log', (generation: number) => [generation, [], { log_id: randomUUID() }]],
    ['an older generation', (generation: number) => [generation - 1, [], {}]],
    ['a generation that is not there', (generation: number) => [generation + 1, [], {}]],
    ['an adapter', (generation: number) => [generation, ['v1'], {}]],
    ['a state that is not converged', (generation: number) => [generation, [], { state: 'pending' }]],
  ])('does not come of a report with %s', async (_, reported) => {
    await put(one, 'a', null, [], { state: 'pending' });
    const { generation } = stateOf(await kill());
    await put(one, 'a', ...reported(generation));
    expect(await convergence()).toMatchObject({ generation, converged: false, acknowledged: 0 });
    expect(await acknowledgements(generation)).toEqual([]);
  });

  it('of a kill is evidence: the engine, what was seen, and which engines were counted', async () => {
    await put(one, 'a', null, [], { state: 'pending' });
    await put(one, 'b', null, [], { state: 'pending' });
    const { generation } = stateOf(await kill());
    await put(one, 'c', generation, []);
    await put(two, 'a', generation, []);
    await put(two, 'a', generation, []);
    expect(await acknowledgements(generation)).toMatchObject([
      { engine: name('a'), observed_adapters: [] },
      { engine: name('c'), observed_adapters: [] },
    ]);
    const rolls = await one.database.query('select engines from kill_rolls where generation = $1', [
      generation,
    ]);
    // Not the one that came after the kill.
    expect(rolls).toEqual([{ engines: [name('a'), name('b')] }]);
    const again = stateOf(await kill()).generation;
    expect(await convergence(one, generation)).toMatchObject({ superseded_by: again, acknowledged: 2 });
  });

  it('asked of a generation that the fleet has not is 400', async () => {
    const reply = await one.api.get(`/lora/convergence?fleet=${fleet}&generation=999999`);
    expectInvalid(reply, 'generation', '/lora/convergence');
    expectProblem(await one.api.get('/lora/convergence?fleet=nowhere'), 'unknown-fleet', '/lora/convergence');
    expectInvalid(await one.api.get('/lora/convergence?generation=0'), 'generation', '/lora/convergence');
  });

  it('is null within one time to live after presence was lost', async () => {
    const generation = await generationOf();
    await put(one, 'a', generation, ['v1']);
    const owner = await one.database.connect();
    await owner.query('truncate engine_presence, engine_presence_epoch');
    await owner.end();
    expect(await convergence()).toMatchObject({ converged: null, pending: [name('a')] });
    await eventually(async () => (await convergence()).converged === false);
    await put(one, 'a', generation, ['v1']);
    expect(await convergence()).toMatchObject({ converged: true });
  });
});

describe('a report', () => {
  it('moves neither the status, nor its ETag, nor the stream, and wakes nobody', async () => {
    const listener = await one.database.connect();
    const woken: (string | undefined)[] = [];
    listener.on('notification', ({ payload }) => woken.push(payload));
    await listener.query('listen lora_log');
    const stream = await EventStream.open(two.api.url, `/lora/stream?fleet=${fleet}`);
    const status = () => one.api.get(`/lora/status?fleet=${fleet}`);
    const before = await status();
    const { generation } = stateOf(before);
    await eventually(() => stream.states.length === 1);
    await put(one, 'a', null, [], { state: 'pending' });
    await put(two, 'a', generation, ['v1']);
    const after = await status();
    expect([after.body, after.headers.get('etag')]).toEqual([before.body, before.headers.get('etag')]);
    const killed = stateOf(await kill()).generation;
    // Whatever came before it has been heard by then.
    await eventually(() => woken.includes(String(killed)) && stream.states.length > 1);
    expect(woken).toEqual([String(killed)]);
    expect(stream.states.map(({ data }) => data.generation)).toEqual([generation, killed]);
    stream.close();
    await listener.end();
  });
});

describe('the time from a kill to its last acknowledgement', () => {
  const measured = async () => (await Metrics.of(one.api)).value('lora_kill_acknowledged_seconds_count') ?? 0;

  it('is measured once, with the last engine, on whichever replica', async () => {
    for (const id of ['a', 'b']) await put(one, id, null, [], { state: 'pending' });
    const before = await measured();
    const { generation } = stateOf(await kill());
    await put(one, 'a', generation, []);
    expect(await measured()).toBe(before);
    await put(two, 'b', generation, []);
    for (const app of [one, two]) await put(app, 'a', generation, []);
    expect(await measured()).toBe(before + 1);
  });

  it('is not taken of a kill that was overtaken before it had arrived', async () => {
    await put(one, 'a', null, [], { state: 'pending' });
    const before = await measured();
    const overtaken = stateOf(await kill()).generation;
    const { generation } = stateOf(await kill());
    await put(one, 'a', overtaken, []);
    expect(await measured()).toBe(before);
    expect(await acknowledgements(overtaken)).toHaveLength(1);
    await put(one, 'a', generation, []);
    expect(await measured()).toBe(before + 1);
  });
});

describe('a command with Prefer: wait', () => {
  it('answers 200 with its convergence when the last engine has acknowledged it, on whichever replica', async () => {
    for (const id of ['a', 'b']) await put(one, id, await generationOf(), ['v1']);
    const answer = kill('wait=30');
    const { generation } = await eventually(async () => {
      const state = stateOf(await two.api.get(`/lora/status?fleet=${fleet}`));
      return state.enabled ? undefined : state;
    });
    await put(one, 'a', generation, []);
    await put(two, 'b', generation, []);
    expect(await answer).toMatchObject({
      status: 200,
      body: { enabled: false, convergence: { generation, converged: true, engines: 2, acknowledged: 2 } },
    });
    expect((await answer).headers.get('preference-applied')).toBe('wait=30');
  });

  it('answers 202 with who is missing when the time is over', async () => {
    for (const id of ['a', 'b']) await put(one, id, await generationOf(), ['v1']);
    const reply = await kill('wait=1');
    expect(reply).toMatchObject({
      status: 202,
      body: { enabled: false, convergence: { converged: false, pending: [name('a'), name('b')] } },
    });
  });

  it('answers at once where there is no engine to wait for', async () => {
    const before = performance.now();
    expect(await kill('wait=60')).toMatchObject({
      status: 202,
      body: { convergence: { converged: null, engines: 0 } },
    });
    expect(performance.now() - before).toBeLessThan(30_000);
  });

  it('counts the engines registered at its commit', async () => {
    await put(one, 'a', await generationOf(), ['v1']);
    const answer = kill('wait=30');
    const { generation } = await eventually(async () => {
      const state = stateOf(await two.api.get(`/lora/status?fleet=${fleet}`));
      return state.enabled ? undefined : state;
    });
    await put(one, 'late', null, ['v1'], { state: 'pending' });
    await put(one, 'a', generation, []);
    expect(await answer).toMatchObject({
      status: 200,
      body: { convergence: { engines: 1, converged: true } },
    });
    expect(await convergence()).toMatchObject({ engines: 2, converged: false });
    const asked = `fleet=${fleet}&generation=${generation}`;
    const { body } = await two.api.get(`/lora/convergence?${asked}&counted=at-commit`);
    expect(body).toMatchObject({ engines: 1, converged: true });
    const wrong = await two.api.get(`/lora/convergence?${asked}&counted=some`);
    expectInvalid(wrong, 'counted', '/lora/convergence');
  });

  it('ends when it is overtaken', async () => {
    await put(one, 'a', await generationOf(), ['v1']);
    const answer = kill('wait=60');
    await eventually(async () => !stateOf(await two.api.get(`/lora/status?fleet=${fleet}`)).enabled);
    const enabled = await two.api.post(`/lora/enable?fleet=${fleet}`, {});
    expect(await answer).toMatchObject({
      status: 202,
      body: { convergence: { superseded_by: stateOf(enabled).generation } },
    });
  });

  it('of all fleets has the convergence of each', async () => {
    const [here, there] = [`${fleet}-here`, `${fleet}-there`];
    const { body: pending } = report('e', null, [], { state: 'pending' });
    for (const each of [here, there]) {
      await one.api.send('PUT', `/fleets/${each}`, { body: { adapter_version: 'v1' } });
      await one.api.send('PUT', `/engines/${each}-e?fleet=${each}`, { body: pending });
    }
    const answer = one.api.post('/lora/disable?fleet=*', {}, { prefer: 'wait=30' });
    const { generation } = await eventually(async () => {
      const state = stateOf(await two.api.get(`/lora/status?fleet=${here}`));
      return state.enabled ? undefined : state;
    });
    const { body: obeyed } = report('e', generation, []);
    await two.api.send('PUT', `/engines/${here}-e?fleet=${here}`, { body: obeyed });
    // Those that have not obeyed are overtaken, and the wait is over.
    await two.api.post('/lora/disable?fleet=*');
    const reply = await answer;
    expect(reply.status).toBe(202);
    const convergenceIn = (name: string) =>
      stateOf(reply).fleets.find((each) => each.fleet === name) as unknown as { convergence: object };
    expect(convergenceIn(here).convergence).toMatchObject({ generation, converged: true, engines: 1 });
    expect(convergenceIn(there).convergence).toMatchObject({
      ...{ converged: false, pending: [`${there}-e`], superseded_by: expect.any(Number) },
    });
    const mine = stateOf(reply).fleets.find((each) => each.fleet === fleet);
    expect(mine).toMatchObject({ enabled: false, convergence: { fleet, converged: null, engines: 0 } });
  });

  it('of other commands has it too', async () => {
    const commands = [
      ['deploy', { adapter_version: 'v2' }],
      ['rollback', {}],
      ['enable', {}],
    ] as const;
    const waits = commands.map(async ([command, body]) => {
      const own = `${fleet}-${command}`;
      await one.api.send('PUT', `/fleets/${own}`, { body: { adapter_version: 'v1' } });
      const { body: pending } = report('a', null, [], { state: 'pending' });
      await one.api.send('PUT', `/engines/${own}-a?fleet=${own}`, { body: pending });
      const reply = await one.api.post(`/lora/${command}?fleet=${own}`, body, { prefer: 'wait=1' });
      expect(reply).toMatchObject({
        status: 202,
        body: { convergence: { generation: stateOf(reply).generation, pending: [`${own}-a`] } },
      });
    });
    await Promise.all(waits);
  });
});

async function acknowledgements(generation: number): Promise<unknown[]> {
  return one.database.query(
    'select engine, observed_adapters from kill_acknowledgements where generation = $1 order by engine',
    [generation],
  );
}
