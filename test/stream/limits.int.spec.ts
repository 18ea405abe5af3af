import { once } from 'node:events';
import { createServer, request, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

import { afterEach, describe, expect, it } from '@jest/globals';
import { ExpressAdapter } from '@nestjs/platform-express';
import type { Express } from 'express';

import { EventStore } from '../../src/event-store/event-store.js';
import { staleEvent } from '../../src/stream/sse-format.js';
import { StreamClient } from '../../src/stream/stream-client.js';
import { StreamHub } from '../../src/stream/stream-hub.js';
import { streamsDropped } from '../../src/stream/stream-metrics.js';
import type { OpenApp } from '../support/start.js';
import { startOpenApp } from '../support/open-app.js';
import { eventually, type Json, type Reply } from '../support/http.js';
import { expectProblem } from '../support/problem.js';
import { EventStream, idOf } from '../support/sse.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function start(env: Record<string, string> = {}): Promise<OpenApp> {
  const service = await startOpenApp(env);
  ends.push(() => service.close());
  return service;
}

async function listen({ api }: OpenApp, path?: string): Promise<EventStream> {
  const stream = await EventStream.open(api.url, path);
  ends.push(() => {
    stream.close();
  });
  return stream;
}

/** An engine's end that is opened and does not read until it is told to. */
function silent(url: string, path: string): { readonly socket: Socket; text(): string } {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined).pause();
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  ends.push(() => socket.destroy());
  let text = '';
  const read = (bytes: Buffer): void => void (text += bytes.toString());
  return {
    socket,
    text: () => {
      if (socket.listenerCount('data') === 0) socket.on('data', read).resume();
      return text;
    },
  };
}

/** Writes until nothing more goes out: the other end does not read. */
async function fill(to: { readonly writableNeedDrain: boolean }, write: () => void): Promise<void> {
  let still = 0;
  await eventually(() => {
    still = to.writableNeedDrain ? still + 1 : 0;
    while (!to.writableNeedDrain) write();
    return still > 20;
  });
}

describe('more streams than are told in one turn', () => {
  it('all come to the last of many kills, and none ever goes back', async () => {
    const service = await start();
    const streams = await Promise.all(Array.from({ length: 600 }, () => listen(service)));
    for (const stream of streams) await stream.first(1);
    const kills = Promise.all(Array.from({ length: 20 }, () => service.api.post('/lora/disable')));
    const late = await Promise.all(Array.from({ length: 100 }, () => listen(service)));
    const generations = (await kills).map(({ body }) => Number(body.generation));
    const last = Math.max(...generations);
    for (const stream of [...streams, ...late]) {
      await eventually(() => Number(stream.states.at(-1)?.data.generation) === last);
      const seen = stream.states.map(({ data }) => Number(data.generation));
      expect(seen).toEqual([...new Set(seen)].sort((one, other) => one - other));
    }
  });
});

describe('STREAMS_MAX', () => {
  const open = ({ app }: OpenApp): number => app.get(StreamHub).open;

  it('holds when many connect at once; the others get a clear 503', async () => {
    const service = await start({ STREAMS_MAX: '2' });
    const all = await Promise.all(Array.from({ length: 10 }, () => listen(service)));
    const served = all.filter(({ status }) => status === 200);
    expect(served).toHaveLength(2);
    for (const stream of served) await stream.first(1);
    for (const stream of all.filter(({ status }) => status !== 200)) {
      await stream.end();
      const headers = new Headers(stream.response.headers as Record<string, string>);
      const reply: Reply = { status: stream.status, headers, body: JSON.parse(stream.text) as Json };
      expectProblem(reply, 'too-many-streams', '/lora/stream');
      expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
      expect(reply.body.detail).toMatch(/\b2\b/);
    }
    expect(open(service)).toBe(2);
  });

  it('counts waiting reads too, and touches nothing else', async () => {
    const service = await start({ STREAMS_MAX: '2' });
    await listen(service);
    const tag = (await service.api.get('/lora/status')).headers.get('etag') ?? '';
    const wait = { prefer: 'wait=25', 'if-none-match': tag };
    const first = service.api.get('/lora/status', wait);
    await eventually(() => open(service) === 2);
    expectProblem(await service.api.get('/lora/status', wait), 'too-many-streams', '/lora/status');
    expect((await listen(service)).status).toBe(503);
    expect((await service.api.get('/lora/status')).status).toBe(200);
    expect((await service.api.get('/health/ready')).status).toBe(200);
    expect((await service.api.post('/lora/disable')).status).toBe(200);
    expect(await first).toMatchObject({ status: 200, body: { enabled: false } });
    await eventually(() => open(service) === 1);
    expect((await listen(service)).status).toBe(200);
  });

  it('gives a place back when a client leaves, and keeps none for a refusal', async () => {
    const service = await start({ STREAMS_MAX: '1' });
    for (let round = 0; round < 5; round += 1) {
      expect((await listen(service, '/lora/stream?fleet=nope')).status).toBe(404);
      const stream = await listen(service);
      expect(stream.status).toBe(200);
      stream.close();
      await eventually(() => open(service) === 0);
    }
  });

  it('has no place for a reader that has gone before it waits', async () => {
    const service = await start({ STREAMS_MAX: '1' });
    await listen(service);
    const snapshot = service.app.get(EventStore).memory.get('default');
    if (snapshot === null) throw new Error('There is no fleet default.');
    // It would be refused a place, or wait for a minute.
    await service.app.get(StreamHub).change(snapshot, 60_000, AbortSignal.abort());
    expect(open(service)).toBe(1);
  });

  it('gives places back when clients leave while they are being confirmed', async () => {
    const service = await start({ STREAMS_MAX: '3' });
    const holder = await service.database.connect();
    ends.push(() => holder.end());
    await holder.query('begin; lock table log_head in access exclusive mode');
    const calls = Array.from({ length: 3 }, () => {
      const call = request(`${service.api.url}/lora/stream`, { agent: false });
      call.on('error', () => undefined).end();
      return call;
    });
    await eventually(() => open(service) === 3);
    for (const call of calls) call.destroy();
    await holder.query('rollback');
    await eventually(() => open(service) === 0);
    expect((await listen(service)).status).toBe(200);
  });
});

describe('a stream that is asked for behind an unanswered read on the same connection', () => {
  /** Both requests at once. */
  async function ask(service: OpenApp, seconds: number) {
    const tag = (await service.api.get('/lora/status')).headers.get('etag') ?? '';
    const wait = `Prefer: wait=${seconds}\r\nIf-None-Match: ${tag}\r\n`;
    const read = `/lora/status HTTP/1.1\r\nHost: localhost\r\n${wait}\r\nGET /lora/stream`;
    const asked = silent(service.api.url, read);
    await eventually(() => service.app.get(StreamHub).open === 2);
    return asked;
  }

  it('begins after that answer, and goes on', async () => {
    const service = await start();
    const asked = await ask(service, 1);
    await eventually(() => asked.text().includes('event: state'));
    expect(asked.text()).toMatch(
      /^HTTP\/1\.1 304 [^]*\r\n\r\nHTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nretry: 1000\n\nid: /,
    );
    const killed = idOf(await service.api.post('/lora/disable'));
    await eventually(() => asked.text().includes(`id: ${killed}\n`));
  });

  it('gives its place back when the connection breaks before', async () => {
    const service = await start();
    const { socket } = await ask(service, 60);
    socket.destroy();
    await eventually(() => service.app.get(StreamHub).open === 0);
  });
});

describe('a client that does not read', () => {
  it('delays nobody, is not buffered for, and gets the newest state when it reads', async () => {
    const service = await start();
    const sockets: Socket[] = [];
    service.app.getHttpServer().on('connection', (socket: Socket) => sockets.push(socket));
    const deaf = silent(service.api.url, '/lora/stream');
    const reader = await listen(service);
    await eventually(() => service.app.get(StreamHub).open === 2);
    const served = sockets.find(({ remotePort }) => remotePort === deaf.socket.localPort);
    if (!served) throw new Error('It is not connected.');
    // As thousands of states would: comments fill what lies between the two ends.
    await fill(served, () => void served.write(`:${'x'.repeat(100_000)}\n\n`));
    const full = served.writableLength;

    let commands = 0;
    const command = async (): Promise<string> => {
      const sent = await service.api.post('/lora/disable', {
        reason: `${'x'.repeat(490)} ${(commands += 1)}`,
      });
      return idOf(sent);
    };
    let last = '';
    for (let more = 0; more < 100; more += 1) last = await command();
    const began = performance.now();
    await reader.withId(last);
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(served.writableLength).toBeLessThan(full + 10_000);

    await eventually(() => deaf.text().includes(`id: ${last}\n`));
    const generations = [...deaf.text().matchAll(/^id: \w+-(\d+)$/gm)].map(([, text]) => Number(text));
    expect(generations).toStrictEqual([...new Set(generations)].sort((one, other) => one - other));
    // The first, what was written before it was found full, and the newest.
    expect(generations.length).toBeLessThan(10);
    const next = await command();
    await eventually(() => deaf.text().includes(`id: ${next}\n`));
  });

  /** A stream as the service serves it, on an HTTP server of its own, with the other end of its connection. */
  async function serve() {
    const express = new ExpressAdapter().getInstance<Express>();
    const clients: { readonly client: StreamClient; readonly response: ServerResponse }[] = [];
    express.get('/', (_, response) => {
      clients.push({ client: new StreamClient(response, undefined), response });
    });
    const server = createServer(express).listen(0, '127.0.0.1');
    await once(server, 'listening');
    ends.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const other = silent(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, '/');
    const [served] = await eventually(() => clients.length > 0 && clients);
    if (!served) throw new Error('Nobody came.');
    return { ...served, other };
  }

  const event = (nth: number): Buffer => Buffer.from(`id: ${nth}\ndata: ${'x'.repeat(200_000)}\n\n`);
  const dropped = async (): Promise<number> => (await streamsDropped.get()).values[0]?.value ?? 0;

  /** Tells it states until nothing more goes out. @returns the number of the last one that was written */
  async function block({ client, response }: Awaited<ReturnType<typeof serve>>): Promise<number> {
    let nth = 0;
    await fill(response.req.socket, () => {
      client.tell(String((nth += 1)), event(nth));
    });
    return nth;
  }

  it('is dropped at a heartbeat when it has read nothing for longer than its patience', async () => {
    const served = await serve();
    const before = await dropped();
    await block(served);
    served.client.beat(true, 60_000);
    expect(served.response.destroyed).toBe(false);
    await eventually(() => {
      served.client.beat(true, 50);
      return served.response.destroyed;
    });
    await eventually(() => served.response.closed);
    expect(await dropped()).toBe(before + 1);
  });

  it('gets one state when it reads again, the newest, and stays', async () => {
    const served = await serve();
    const { client, response, other } = served;
    const before = await dropped();
    const written = await block(served);
    const { writableLength } = response;
    for (let nth = written + 1; nth <= written + 1_000; nth += 1) client.tell(String(nth), event(nth));
    expect(response.writableLength).toBe(writableLength);
    await eventually(() => other.text().includes(`id: ${written + 1_000}\n`));
    const seen = [...other.text().matchAll(/^id: (\d+)$/gm)].map(([, text]) => Number(text));
    const expected = Array.from({ length: written }, (_, index) => index + 1);
    expect(seen).toStrictEqual([...expected, written + 1_000]);
    client.beat(true, 0);
    await eventually(() => other.text().endsWith(': heartbeat\n\n'));
    expect(await dropped()).toBe(before);
  });

  it('is not waited for when the stream ends', async () => {
    const served = await serve();
    await block(served);
    served.client.end(staleEvent(undefined));
    await eventually(() => served.response.closed);
  });
});

it('no heartbeat is sent without a fresh confirmation', async () => {
  const clients: StreamClient[] = [];
  const express = new ExpressAdapter().getInstance<Express>();
  express.get('/', (_, response) => clients.push(new StreamClient(response, undefined)));
  const server = createServer(express).listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => server.close());
  const stream = await EventStream.open(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, '/');
  const [client] = await eventually(() => clients.length > 0 && clients);
  client?.beat(false, 60_000);
  client?.end(staleEvent(new Date(0)));
  await stream.end();
  expect(stream.comments).toStrictEqual([]);
  expect(stream.events).toMatchObject([{ event: 'stale', data: { as_of: '1970-01-01T00:00:00.000Z' } }]);
  expect(stream.events[0]?.id).toBeUndefined();
});
