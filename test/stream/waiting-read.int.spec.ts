import { request } from 'node:http';

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { StreamHub } from '../../src/stream/stream-hub.js';
import type { OpenApp } from '../support/start.js';
import { startOpenApp } from '../support/open-app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventually, type Reply } from '../support/http.js';
import { EventStream } from '../support/sse.js';

let database: TestDatabase;
/** Two replicas on one log. */
let [a, b] = [] as unknown as [OpenApp, OpenApp];
let hub: StreamHub;
let fleet = '';
let fleets = 0;
let tag = '';

beforeAll(async () => {
  database = await createDatabase();
  a = await startOpenApp({}, database);
  b = await startOpenApp({}, database);
  hub = b.app.get(StreamHub);
});
afterAll(async () => {
  await b.close();
  await a.close();
  await database.drop();
});
beforeEach(async () => {
  fleet = `fleet-${(fleets += 1)}`;
  tag = tagIn(await a.api.send('PUT', `/fleets/${fleet}`));
});

interface Timed extends Reply {
  readonly took: number;
}

/** Asks the second replica. */
async function ask(prefer: string, ifNoneMatch: string | undefined = tag, more = ''): Promise<Timed> {
  const began = performance.now();
  const reply = await b.api.get(`/lora/status?fleet=${fleet}${more}`, {
    prefer,
    ...(ifNoneMatch === '' ? {} : { 'if-none-match': ifNoneMatch }),
  });
  return { ...reply, took: performance.now() - began };
}

const tagIn = ({ headers }: Reply): string => headers.get('etag') ?? '';
const applied = ({ headers }: Reply): string | null => headers.get('preference-applied');
const kill = (): Promise<Reply> => a.api.post(`/lora/disable?fleet=${fleet}`);

/** So many wait. */
const waiting = (count: number): Promise<boolean> => eventually(() => hub.open === count);

describe('a waiting read', () => {
  it('is 304 after its time without news, and not before', async () => {
    const reply = await ask('wait=1');
    expect([reply.status, reply.body, tagIn(reply)]).toStrictEqual([304, undefined, tag]);
    expect(applied(reply)).toBe('wait=1');
    expect(reply.took).toBeGreaterThan(950);
    expect(reply.took).toBeLessThan(3_000);
  });

  it('is 200 at once when a kill comes through another replica', async () => {
    const calls = Array.from({ length: 20 }, () => ask('wait=25'));
    await waiting(20);
    const killed = await kill();
    const began = performance.now();
    for (const reply of await Promise.all(calls)) {
      expect([reply.status, tagIn(reply), applied(reply)]).toStrictEqual([200, tagIn(killed), 'wait=25']);
      expect(reply.body).toMatchObject({ enabled: false, generation: killed.body.generation });
      expect(reply.body).toHaveProperty('rollback_history');
    }
    expect(performance.now() - began).toBeLessThan(2_000);
    await waiting(0);
  });

  it('answers at once when its tag is not the current one, and when it has none', async () => {
    for (const other of ['"00000000-1"', '"nonsense"', '']) {
      const reply = await ask('wait=25', other);
      expect([other, reply.status, tagIn(reply)]).toStrictEqual([other, 200, tag]);
      expect(reply.took).toBeLessThan(2_000);
    }
  });

  it('does not end for the news of another fleet', async () => {
    const call = ask('wait=1');
    await waiting(1);
    await a.api.send('PUT', `/fleets/another-${fleet}`);
    await a.api.post('/lora/disable');
    await a.api.post('/lora/enable');
    expect(await call).toMatchObject({ status: 304 });
  });

  it('does not end early for news that its tag names already', async () => {
    const streams: EventStream[] = [];
    const names = Array.from({ length: 40 }, (_, nth) => `early-${nth}`);
    for (const name of names) {
      await a.api.send('PUT', `/fleets/${name}`);
      streams.push(await EventStream.open(b.api.url, `/lora/stream?fleet=${name}`));
    }
    const replies = await Promise.all(
      names.map(async (name) => {
        const known = tagIn(await a.api.post(`/lora/disable?fleet=${name}`));
        const began = performance.now();
        const reply = await b.api.get(`/lora/status?fleet=${name}`, {
          prefer: 'wait=1',
          'if-none-match': known,
        });
        return { status: reply.status, early: performance.now() - began < 950 };
      }),
    );
    for (const stream of streams) stream.close();
    expect(replies.filter(({ status, early }) => status !== 304 || early)).toStrictEqual([]);
    await waiting(0);
  });

  it('gives its place back when the reader leaves', async () => {
    const call = request(`${b.api.url}/lora/status?fleet=${fleet}`, {
      agent: false,
      headers: { prefer: 'wait=60', 'if-none-match': tag },
    });
    call.on('error', () => undefined).end();
    await waiting(1);
    call.destroy();
    await waiting(0);
  });

  it('works with consistency=strong, and answers at once with eventual', async () => {
    expect(await ask('wait=1', tag, '&consistency=strong')).toMatchObject({ status: 304 });
    const reply = await ask('wait=25', tag, '&consistency=eventual');
    expect(reply.status).toBe(200);
    expect(reply.took).toBeLessThan(2_000);
  });
});

describe('Prefer', () => {
  it('is read in every form that it can have', async () => {
    const forms = ['WAIT = 1', 'wait="1"', 'respond-async, wait=1', 'wait=1; of=use', 'x=";wait", wait=1'];
    const replies = await Promise.all(forms.map((form) => ask(form)));
    for (const [index, reply] of replies.entries()) {
      expect([forms[index], reply.status, applied(reply)]).toStrictEqual([forms[index], 304, 'wait=1']);
      expect(reply.took).toBeGreaterThan(950);
    }
  });

  it('waits for 60 s at most', async () => {
    const calls = ['wait=61', 'wait=999999999'].map((prefer) => ask(prefer));
    await waiting(2);
    await kill();
    for (const call of calls) expect(applied(await call)).toBe('wait=60');
  });

  it('that cannot be read is ignored', async () => {
    const nonsense = [
      '',
      'wait',
      'wait=',
      'wait=0',
      'wait=-1',
      'wait=1.5',
      'wait=soon',
      'wait=1s',
      'wait=0x5',
    ];
    nonsense.push(
      'wait=1e1',
      'wait 5',
      'waits=5',
      'await=5',
      '=',
      ';;,,',
      'foo; wait=5',
      'wait="2',
      'wait=2"',
    );
    nonsense.push(`w${'x'.repeat(4000)}`);
    const replies = await Promise.all(nonsense.map((prefer) => ask(prefer)));
    for (const [index, reply] of replies.entries()) {
      expect([nonsense[index], reply.status, applied(reply)]).toStrictEqual([nonsense[index], 304, null]);
      expect(reply.took).toBeLessThan(1_900);
    }
  });
});
