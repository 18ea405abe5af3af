import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { StreamHub } from '../../src/stream/stream-hub.js';
import type { OpenApp } from '../support/start.js';
import { startOpenApp } from '../support/open-app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventually, type Json, type Reply } from '../support/http.js';
import { expectInvalid, expectProblem } from '../support/problem.js';
import { EventStream, idOf } from '../support/sse.js';

let database: TestDatabase;
/** Two replicas on one log. */
let [a, b] = [] as unknown as [OpenApp, OpenApp];
/** Open from the start to the end of this file. */
let patient: EventStream;
let openedAt = 0;
let fleet = '';
let fleets = 0;
const streams: EventStream[] = [];

beforeAll(async () => {
  database = await createDatabase();
  a = await startOpenApp({ ACTIVE_LORA_ADAPTER: 'v1' }, database);
  b = await startOpenApp({}, database);
  patient = await EventStream.open(b.api.url);
  openedAt = performance.now();
});
afterAll(async () => {
  patient.close();
  await b.close();
  await a.close();
  await database.drop();
});
beforeEach(async () => {
  fleet = `fleet-${(fleets += 1)}`;
  await a.api.send('PUT', `/fleets/${fleet}`, { body: { adapter_version: 'v1' } });
});
afterEach(() => {
  for (const stream of streams.splice(0)) stream.close();
});

/** A stream of this test's fleet. */
async function listen(
  { api }: OpenApp,
  headers: Record<string, string> = {},
  path = `/lora/stream?fleet=${fleet}`,
): Promise<EventStream> {
  const stream = await EventStream.open(api.url, path, headers);
  streams.push(stream);
  return stream;
}

const post = (app: OpenApp, command: string, body: object = {}): Promise<Reply> =>
  app.api.post(`/lora/${command}?fleet=${fleet}`, body);
const status = (app: OpenApp): Promise<Reply> => app.api.get(`/lora/status?fleet=${fleet}`);

/** What a stream shows of a state. */
function shown({ body }: Reply): Record<string, unknown> {
  const histories = ['rollback_history', 'activation_history'];
  const ofAnswers = ['notice', 'status', 'version', 'from_version', 'message', 'receipt'];
  const hidden = [...histories, ...ofAnswers];
  return Object.fromEntries(Object.entries(body).filter(([name]) => !hidden.includes(name)));
}

async function problemOf(path: string): Promise<Reply> {
  const stream = await listen(a, {}, path);
  await stream.end();
  const headers = new Headers(stream.response.headers as Record<string, string>);
  return { status: stream.status, headers, body: JSON.parse(stream.text) as Json };
}

describe('on connect', () => {
  it('sends how long to wait before the next try, and the current state under its ETag', async () => {
    const stream = await listen(a);
    const [first] = await stream.first(1);
    const now = await status(b);
    expect(first).toMatchObject({ event: 'state', id: idOf(now) });
    expect(first?.data).toStrictEqual(shown(now));
    expect(stream.retries).toStrictEqual([1000]);
  });

  it('says that it is a stream, and that nobody may keep or hold it back', async () => {
    const { status: code, response } = await listen(a);
    expect(code).toBe(200);
    expect(response.headers).toMatchObject({
      'content-type': expect.stringMatching(/^text\/event-stream\b/) as unknown,
      'cache-control': expect.stringMatching(/no-cache|no-store/) as unknown,
      'x-accel-buffering': 'no',
    });
    expect(response.headers).not.toHaveProperty('content-length');
  });

  it('of a fleet that does not exist is 404, of a bad name or an unknown parameter 400', async () => {
    expectProblem(await problemOf('/lora/stream?fleet=nope'), 'unknown-fleet', '/lora/stream');
    expectInvalid(await problemOf('/lora/stream?fleet=No.'), 'fleet', '/lora/stream');
    expectInvalid(await problemOf('/lora/stream?flet=default'), 'flet', '/lora/stream');
  });

  it('asked for its head only, answers and keeps no place', async () => {
    const open = a.app.get(StreamHub).open;
    const { status: code, headers } = await a.api.send('HEAD', `/lora/stream?fleet=${fleet}`);
    expect([code, headers.get('content-type')]).toStrictEqual([200, 'text/event-stream; charset=utf-8']);
    await eventually(() => a.app.get(StreamHub).open === open);
  });
});

describe('from then on', () => {
  it('sends each new state, whatever the command', async () => {
    const stream = await listen(a);
    await stream.first(1);
    const steps: readonly (readonly [string, object])[] = [
      ['deploy', { adapter_version: 'v2' }],
      ['disable', { reason: 'regression' }],
      ['disable', { reason: 'once more' }],
      ['rollback', {}],
      ['enable', {}],
    ];
    for (const [index, [command, body]] of steps.entries()) {
      const answer = await post(a, command, body);
      const event = (await stream.first(index + 2)).at(-1);
      expect([command, event?.event, event?.id]).toStrictEqual([command, 'state', idOf(answer)]);
      expect(event?.data).toStrictEqual(shown(answer));
    }
    expect(stream.events).toHaveLength(steps.length + 1);
  });

  it('tells of its own fleet only', async () => {
    const stream = await listen(a);
    await stream.first(1);
    await a.api.post('/lora/disable?fleet=default');
    await a.api.post('/lora/enable?fleet=default');
    const last = await post(a, 'disable');
    await stream.withId(idOf(last));
    expect(stream.events.map(({ data }) => data.fleet)).toStrictEqual([fleet, fleet]);
  });

  it('tells of a kill of all fleets', async () => {
    const stream = await listen(b);
    await stream.first(1);
    await a.api.post('/lora/disable?fleet=*', { reason: 'everything' });
    const event = (await stream.first(2)).at(-1);
    expect(event?.data).toMatchObject({ fleet, enabled: false, last_reason: 'everything' });
    await a.api.post('/lora/enable');
  });

  it('tells everybody on another replica of a kill', async () => {
    const audience = await Promise.all(Array.from({ length: 30 }, () => listen(b)));
    for (const stream of audience) await stream.first(1);
    const killed = await post(a, 'disable');
    for (const stream of audience) {
      const event = await stream.withId(idOf(killed));
      expect(event.data).toMatchObject({ enabled: false, active_adapter_version: null });
    }
  });

  it('never goes back and ends at the head, in a storm through both replicas', async () => {
    const audience = [await listen(a), await listen(b)];
    const calls = Array.from({ length: 120 }, (_, nth) =>
      post(nth % 2 === 0 ? a : b, nth % 3 === 0 ? 'enable' : 'disable', { reason: `storm ${nth}` }),
    );
    // Those who come in the middle of it, too.
    await calls[20];
    audience.push(await listen(a), await listen(b));
    await Promise.all(calls);
    const head = await status(a);
    for (const stream of audience) {
      const last = await stream.withId(idOf(head));
      expect(last.data).toStrictEqual(shown(head));
      const generations = stream.states.map(({ data }) => Number(data.generation));
      expect(generations).toStrictEqual([...new Set(generations)].sort((one, other) => one - other));
    }
  });
});

describe('Last-Event-ID', () => {
  let old: Reply;

  it('of the current state brings only what follows', async () => {
    const stream = await listen(b, { 'last-event-id': idOf(await status(a)) });
    const killed = await post(a, 'disable');
    await stream.withId(idOf(killed));
    expect(stream.events.map(({ id }) => id)).toStrictEqual([idOf(killed)]);
  });

  it('of a state that was just answered by another replica does not bring it once more', async () => {
    for (let round = 0; round < 20; round += 1) {
      const id = idOf(await post(a, 'disable', { reason: `round ${round}` }));
      await listen(b, { 'last-event-id': id });
    }
    const last = idOf(await post(a, 'enable'));
    for (const stream of streams) await stream.withId(last);
    for (const [round, stream] of streams.entries()) {
      expect(stream.events).toHaveLength(streams.length - round);
    }
  });

  it.each([
    ['of an older state', () => `${idOf(old).split('-')[0] ?? ''}-1`],
    ['of the same generation of another log', () => `00000000-${idOf(old).split('-')[1] ?? ''}`],
    ['of a generation that is still to come', () => `${idOf(old)}9`],
    ['that is nonsense', () => 'nonsense'],
    ['that is empty', () => ''],
  ])('%s brings the current state', async (_, id) => {
    old = await status(a);
    const stream = await listen(a, { 'last-event-id': id() });
    const [first] = await stream.first(1);
    expect([first?.event, first?.id]).toStrictEqual(['state', idOf(old)]);
  });
});

it('lets a client that leaves go', async () => {
  const hub = a.app.get(StreamHub);
  const before = hub.open;
  await listen(a);
  const leaving = await listen(a);
  expect(hub.open).toBe(before + 2);
  leaving.close();
  await eventually(() => hub.open === before + 1);
});

it('sends a heartbeat every 15 s, and ends no stream meanwhile', async () => {
  await eventually(() => patient.comments.length > 0);
  expect(performance.now() - openedAt).toBeGreaterThan(13_000);
  expect(patient.comments).toStrictEqual(['heartbeat']);
  expect(patient.endedAt).toBeUndefined();
});
