import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { connect } from 'node:net';

import { createDatabase, type TestDatabase } from '../support/database.js';
import { confirmed, type HeadLock, lockHead } from '../support/head-lock.js';
import { Api, eventually, type Reply } from '../support/http.js';
import { type Replica, startReplica } from '../support/replica.js';

interface LogRow {
  readonly position: number;
  readonly type: string;
  readonly fleet: string;
  readonly key: string;
  readonly reason: string;
}

/** The states in the answer to a kill of all fleets. */
function killedBy({ body }: Reply): readonly { readonly fleet: string; readonly generation: number }[] {
  return (body as unknown as { fleets: { fleet: string; generation: number }[] }).fleets;
}

describe('two replicas on one database', () => {
  let database: TestDatabase;
  let replicas: Replica[] = [];
  let [a, b] = [new Api(''), new Api('')];
  let fleet = '';
  let fleets = 0;

  const start = (): Promise<Replica> => startReplica({ env: { DATABASE_URL: database.url } });
  const post = (api: Api, command: string, body: object = {}, headers: Record<string, string> = {}) =>
    api.post(`/lora/${command}?fleet=${fleet}`, body, headers);
  const status = async (api: Api) => (await api.get(`/lora/status?fleet=${fleet}`)).body;
  const log = (): Promise<LogRow[]> =>
    database.query<LogRow>(
      `select position::int, type, fleet, reason, body::jsonb ->> 'idempotency_key' as key from events
       order by position`,
    );
  const logOfFleet = async (): Promise<LogRow[]> => (await log()).filter((event) => event.fleet === fleet);

  /** What `work` sends meets a log whose head is held; the lock is let go whatever happens. */
  async function underLock<T>(work: (lock: HeadLock) => Promise<T>): Promise<T> {
    const lock = await lockHead(database);
    try {
      return await work(lock);
    } finally {
      await lock.release();
    }
  }

  beforeAll(async () => {
    database = await createDatabase();
    replicas = [await start()];
    replicas.push(await start());
    [a, b] = replicas.map(({ api }) => api) as [Api, Api];
  });

  afterAll(async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    await database.drop();
  });

  /** Each test has a fleet of its own, on v1.3 with v1.2 before it. */
  beforeEach(async () => {
    fleets += 1;
    fleet = `fleet-${fleets}`;
    expect((await a.send('PUT', `/fleets/${fleet}`, { body: { adapter_version: 'v1.2' } })).status).toBe(201);
    expect((await post(a, 'deploy', { adapter_version: 'v1.3' })).status).toBe(200);
  });

  it('shows a kill through one on the other at once', async () => {
    for (let round = 0; round < 25; round += 1) {
      const [one, other] = round % 2 === 0 ? ([a, b] as const) : ([b, a] as const);
      const killed = await post(one, 'disable', { reason: `round ${round}` });
      const seen = await status(other);
      expect(seen).toMatchObject({
        enabled: false,
        active_adapter_version: null,
        generation: killed.body.generation,
        last_reason: `round ${round}`,
      });
      expect((await post(other, 'deploy', { adapter_version: 'v1.4' })).status).toBe(409);
      await post(other, 'enable');
      expect(await status(one)).toMatchObject({ enabled: true, active_adapter_version: 'v1.3' });
    }
  });

  describe('a kill that commits while another command is under way', () => {
    const commands = [
      ['enable', {}],
      ['enable', { adapter_version: 'v1.3' }],
      ['deploy', { adapter_version: 'v1.4' }],
      ['rollback', {}],
      ['rollback', { adapter_version: 'v1.2' }],
    ] as const;

    async function expectKilledMeanwhile(killed: Reply, late: Reply): Promise<void> {
      expect(killed.status).toBe(200);
      const [kill] = await database.query<{ recorded_at: string }>(
        'select rfc3339(recorded_at) as recorded_at from events where position = $1',
        [killed.body.generation],
      );
      expect(late).toMatchObject({
        status: 409,
        body: { code: 'killed-meanwhile', notice: 'Nothing was changed. LoRA is DISABLED.' },
      });
      expect(late.headers.get('content-type')).toMatch('application/problem+json');
      // Who, when, why.
      expect(late.body.detail).toMatch('by anonymous');
      expect(late.body.detail).toMatch(kill?.recorded_at ?? 'no kill in the log');
      expect(late.body.detail).toMatch('too slow');
      const events = await logOfFleet();
      expect(events.map(({ type }) => type)).toEqual(['LoraInitialized', 'AdapterDeployed', 'LoraDisabled']);
      expect(events.at(-1)?.position).toBe(killed.body.generation);
      for (const api of [a, b]) {
        expect(await status(api)).toMatchObject({
          enabled: false,
          active_adapter_version: null,
          resume_adapter_version: 'v1.3',
          generation: killed.body.generation,
        });
      }
    }

    it.each(commands)('refuses the %s %j of the other replica', async (command, body) => {
      const [killed, late] = await underLock(async (lock) => {
        const kill = post(b, 'disable', { reason: 'too slow' });
        await lock.waiters(1);
        const refused = post(a, command, body);
        await lock.waiters(2);
        await lock.release();
        return Promise.all([kill, refused]);
      });
      await expectKilledMeanwhile(killed, late);
    });

    it.each(commands)('refuses the %s %j that came after it to its own replica', async (command, body) => {
      const [killed, late] = await underLock(async (lock) => {
        const kill = post(a, 'disable', { reason: 'too slow' });
        await lock.waiters(1);
        const refused = post(a, command, body);
        await confirmed(a);
        await lock.release();
        return Promise.all([kill, refused]);
      });
      await expectKilledMeanwhile(killed, late);
    });

    it('passes the commands that wait before it in its own replica', async () => {
      const other = `${fleet}-other`;
      await a.send('PUT', `/fleets/${other}`);
      const [killed, late] = await underLock(async (lock) => {
        // A kill that hangs is on both lanes, so that what comes now has to wait in its replica.
        const first = a.post(`/lora/disable?fleet=${other}`);
        await Promise.all([lock.waiters(1), lock.waiters(1, 'spare lane')]);
        const enable = post(a, 'enable');
        await confirmed(a);
        const kill = post(a, 'disable', { reason: 'too slow' });
        await confirmed(a);
        await lock.release();
        expect((await first).status).toBe(200);
        return Promise.all([kill, enable]);
      });
      await expectKilledMeanwhile(killed, late);
    });

    it('does not wait for a batch of its own replica that hangs, and is the last word', async () => {
      const other = `${fleet}-other`;
      await a.send('PUT', `/fleets/${other}`);
      const [killed, enabled, deployed] = await underLock(async (lock) => {
        const enable = post(a, 'enable', { reason: 'too early' });
        await lock.waiters(1);
        const deploy = post(a, 'deploy', { adapter_version: 'v1.4' });
        await confirmed(a);
        const kill = post(a, 'disable', { reason: 'too slow' });
        await lock.waiters(1, 'spare lane');
        await lock.release();
        return Promise.all([kill, enable, deploy]);
      });
      expect(killed.status).toBe(200);
      for (const { status, body } of [enabled, deployed]) {
        // Before the kill or not at all.
        if (status === 200) expect(body.generation).toBeLessThan(Number(killed.body.generation));
        else expect({ status, code: body.code }).toEqual({ status: 409, code: 'killed-meanwhile' });
      }
      const events = await logOfFleet();
      expect(events.at(-1)).toMatchObject({ type: 'LoraDisabled', position: killed.body.generation });
      expect(events.filter(({ type }) => type === 'LoraDisabled')).toHaveLength(1);
      for (const api of [a, b]) expect(await status(api)).toMatchObject({ enabled: false });
    });

    it('of all fleets refuses it too', async () => {
      const [killed, late] = await underLock(async (lock) => {
        const kill = b.post('/lora/disable?fleet=*', { reason: 'too slow' });
        await lock.waiters(1);
        const enable = post(a, 'enable');
        await lock.waiters(2);
        await lock.release();
        return Promise.all([kill, enable]);
      });
      expect(killed.status).toBe(200);
      expect(late).toMatchObject({ status: 409, body: { code: 'killed-meanwhile' } });
      expect(await status(b)).toMatchObject({ enabled: false });
    });

    it('lets an enable that was sent after it lift it', async () => {
      await post(b, 'disable');
      expect((await post(a, 'enable')).body).toMatchObject({ enabled: true, active_adapter_version: 'v1.3' });
    });
  });

  it('steps back once when two rollbacks without a version race', async () => {
    const answers = await underLock(async (lock) => {
      const one = post(b, 'rollback', { reason: 'first' });
      await lock.waiters(1);
      const two = post(a, 'rollback', { reason: 'second' });
      await lock.waiters(2);
      await lock.release();
      return Promise.all([one, two]);
    });
    expect(answers[0]).toMatchObject({ status: 200, body: { active_adapter_version: 'v1.2' } });
    expect(answers[1]).toMatchObject({
      status: 412,
      body: { code: 'generation-mismatch', notice: 'Nothing was changed. LoRA is ENABLED.' },
    });
    expect((await logOfFleet()).filter(({ type }) => type === 'LoraRolledBack')).toHaveLength(1);
    expect(await status(a)).toMatchObject({ active_adapter_version: 'v1.2', rollback_target: null });
  });

  describe('an Idempotency-Key', () => {
    /** Sends a command and takes the socket away when the log has it, the answer unread. */
    async function loseAnswer(api: Api, path: string, body: object, key: string): Promise<void> {
      const { hostname, port } = new URL(api.url);
      const socket = connect(Number(port), hostname);
      socket.on('error', () => undefined);
      const text = JSON.stringify(body);
      socket.write(
        [
          `POST ${path} HTTP/1.1`,
          `Host: ${hostname}:${port}`,
          'Content-Type: application/json',
          `Idempotency-Key: ${key}`,
          `Content-Length: ${Buffer.byteLength(text)}`,
          '',
          text,
        ].join('\r\n'),
      );
      await eventually(async () => (await log()).some((event) => event.key === key));
      socket.destroy();
    }

    it('turns the retry of a deploy whose answer was lost into a replay, also after a kill', async () => {
      const key = `lost-${fleet}`;
      const body = { adapter_version: 'v1.4' };
      await loseAnswer(a, `/lora/deploy?fleet=${fleet}`, body, key);
      const killed = await post(b, 'disable');

      for (const api of [b, a]) {
        const again = await post(api, 'deploy', body, { 'Idempotency-Key': key });
        expect(again).toMatchObject({
          status: 200,
          body: { status: 'deployed', version: 'v1.4', from_version: 'v1.3', active_adapter_version: 'v1.4' },
        });
        expect(again.headers.get('idempotency-replayed')).toBe('true');
        expect(again.headers.get('lora-superseded-by')).toBe(String(killed.body.generation));
        expect(again.body.notice).toMatch('LoRA is DISABLED now.');
        expect(await status(api)).toMatchObject({ enabled: false, generation: killed.body.generation });
      }
      expect((await log()).filter((event) => event.key === key)).toHaveLength(1);
      expect((await logOfFleet()).at(-1)?.type).toBe('LoraDisabled');
      // Without the key it is a new deploy.
      expect(await post(b, 'deploy', body)).toMatchObject({
        status: 409,
        body: { code: 'kill-switch-active' },
      });
    });

    it('sent 200 times at once to both replicas makes one event and 200 equal answers', async () => {
      const key = `often-${fleet}`;
      const send = (index: number): Promise<Reply> =>
        post(index % 2 === 0 ? a : b, 'deploy', { adapter_version: 'v2.0' }, { 'Idempotency-Key': key });
      const answers = await Promise.all(Array.from({ length: 200 }, (_, index) => send(index)));
      for (const [index, { status, body }] of answers.entries()) {
        if (status !== 503) continue;
        // A machine that is busy may answer too late. Then the caller is told to send it again with its key.
        expect(body).toMatchObject({ code: 'log-unavailable', idempotency_key: key });
        answers[index] = await send(index);
      }
      expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200));
      const [first] = answers;
      for (const { body, headers } of answers) {
        expect(body).toEqual(first?.body);
        expect(headers.get('etag')).toBe(first?.headers.get('etag'));
        expect(headers.get('lora-superseded-by')).toBeNull();
      }
      const fresh = answers.filter(({ headers }) => headers.get('idempotency-replayed') === null);
      expect(fresh.length).toBeLessThanOrEqual(1);
      expect((await log()).filter((event) => event.key === key)).toHaveLength(1);
    }, 60_000);

    it('of another command is refused by the other replica, except that a kill is taken', async () => {
      const key = { 'Idempotency-Key': `reused-${fleet}` };
      await post(a, 'deploy', { adapter_version: 'v1.4' }, key);
      expect(await post(b, 'deploy', { adapter_version: 'v1.5' }, key)).toMatchObject({
        status: 422,
        body: { code: 'idempotency-key-reused' },
      });
      const killed = await post(b, 'disable', {}, key);
      expect(killed).toMatchObject({ status: 200, body: { enabled: false } });
      expect(killed.headers.get('idempotency-replayed')).toBeNull();
      expect(await status(a)).toMatchObject({ enabled: false });
    });
  });

  describe('fleets', () => {
    const make = (api: Api, name: string): Promise<Reply> => api.send('PUT', `/fleets/${name}`);

    it('are made once when both replicas are asked at the same time', async () => {
      const name = `${fleet}-new`;
      const answers = await underLock(async (lock) => {
        const both = [make(a, name), make(b, name)];
        await lock.waiters(2);
        await lock.release();
        return Promise.all(both);
      });
      const crowd = Array.from({ length: 10 }, (_, index) => make(index % 2 === 0 ? a : b, name));
      answers.push(...(await Promise.all(crowd)));
      expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(11);
      expect(new Set(answers.map(({ body }) => body.generation)).size).toBe(1);
      expect((await log()).filter((event) => event.fleet === name)).toHaveLength(1);
    });

    it('are known to the other replica at once', async () => {
      for (let index = 0; index < 25; index += 1) {
        const name = `${fleet}-${index}`;
        const [one, other] = index % 2 === 0 ? ([a, b] as const) : ([b, a] as const);
        expect((await make(one, name)).status).toBe(201);
        expect((await other.post(`/lora/disable?fleet=${name}`)).status).toBe(200);
        expect((await one.get(`/lora/status?fleet=${name}`)).body).toMatchObject({ enabled: false });
      }
    });

    it('that were made before a kill of all commits are killed by it, later ones are not', async () => {
      const [before, after] = [`${fleet}-before`, `${fleet}-after`];
      const kill = await underLock(async (lock) => {
        const one = make(a, before);
        await lock.waiters(1);
        const kill = b.post('/lora/disable?fleet=*');
        await lock.waiters(2);
        await lock.release();
        await one;
        return kill;
      });
      const names = (answer: Reply): string[] => killedBy(answer).map((state) => state.fleet);
      expect(names(kill)).toContain(before);
      expect((await a.get(`/lora/status?fleet=${before}`)).body.enabled).toBe(false);

      const next = await underLock(async (lock) => {
        const kill = b.post('/lora/disable?fleet=*');
        await lock.waiters(1);
        const one = make(a, after);
        await lock.waiters(2);
        await lock.release();
        expect((await one).status).toBe(201);
        return kill;
      });
      expect(names(next)).not.toContain(after);
      expect((await b.get(`/lora/status?fleet=${after}`)).body.enabled).toBe(true);
    });

    it('being made during kills of all: each kill takes exactly those there are at its commit', async () => {
      const makers = Array.from({ length: 40 }, (_, index) => () => make(a, `${fleet}-many-${index}`));
      const kills = Array.from({ length: 8 }, () => () => b.post('/lora/disable?fleet=*'));
      const inTurn = async (calls: (() => Promise<Reply>)[]): Promise<Reply[]> => {
        const answers: Reply[] = [];
        for (const call of calls) answers.push(await call());
        return answers;
      };
      const [, killed] = await Promise.all([inTurn(makers), inTurn(kills)]);

      const events = await log();
      for (const answer of killed) {
        expect(answer.status).toBe(200);
        const states = killedBy(answer);
        const positions = states.map(({ generation }) => generation).sort((x, y) => x - y);
        const first = positions[0] ?? 0;
        // One commit: the positions are in a row, and one for each fleet that was there.
        expect(positions).toEqual(positions.map((_, index) => first + index));
        const there = events.filter(({ type, position }) => type === 'LoraInitialized' && position < first);
        expect(states.map((state) => state.fleet).sort()).toEqual(there.map(({ fleet }) => fleet).sort());
        const written = events.slice(first - 1, first - 1 + positions.length);
        expect(new Set(written.map(({ type, key }) => `${type} ${key}`)).size).toBe(1);
      }
      expect(events.map(({ position }) => position)).toEqual(events.map((_, index) => index + 1));
    });
  });
});

describe('two replicas that start at the same time on an empty database', () => {
  it('migrate it once and make the fleet default once', async () => {
    for (let round = 0; round < 2; round += 1) {
      const database = await createDatabase('empty');
      const env = { DATABASE_URL: database.url, LORA_ENABLED: 'false', ACTIVE_LORA_ADAPTER: 'v1.2' };
      const starting = [startReplica({ env }), startReplica({ env })];
      const started = await Promise.allSettled(starting);
      try {
        const [a, b] = await Promise.all(starting);
        const events = await database.query('select type, actor from events');
        expect(events).toEqual([expect.objectContaining({ type: 'LoraInitialized', actor: 'system' })]);
        const [one, other] = [await a?.api.get('/lora/status'), await b?.api.get('/lora/status')];
        expect(one?.body).toMatchObject({ enabled: false, resume_adapter_version: 'v1.2', generation: 1 });
        expect(other?.body).toEqual(one?.body);
      } finally {
        for (const result of started) if (result.status === 'fulfilled') await result.value.stop();
        await database.drop();
      }
    }
  }, 60_000);
});
