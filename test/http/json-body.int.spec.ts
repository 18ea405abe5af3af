import { once } from 'node:events';
import type { Socket } from 'node:net';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { type TestApp, startApp } from '../support/app.js';
import { eventually } from '../support/http.js';
import { appendsNothing, expectInvalid, expectProblem, headOf } from '../support/problem.js';
import { RawConnection } from '../support/raw-http.js';

let service: TestApp;
beforeAll(async () => {
  service = await startApp({ ACTIVE_LORA_ADAPTER: 'v1' });
});
afterAll(() => service.close());

const json = { 'content-type': 'application/json' };
const chunked = { ...json, 'transfer-encoding': 'chunked' };

/** A connection, and the service's end of it. */
async function open(): Promise<{ connection: RawConnection; accepted: Socket }> {
  const server = service.app.getHttpServer();
  const accepting = once(server, 'connection') as Promise<[Socket]>;
  const connection = await RawConnection.open(service.api.url);
  const [accepted] = await accepting;
  expect(accepted.remotePort).toBe(connection.localPort);
  return { connection, accepted };
}

const COMMANDS = [
  ['POST', '/lora/enable'],
  ['POST', '/lora/rollback'],
  ['POST', '/lora/deploy'],
  ['POST', '/adapters/v9/deploy'],
  ['PUT', '/fleets/canary'],
] as const;

describe('a body in chunks', () => {
  it('is read whole, wherever it is cut', async () => {
    const { connection } = await open();
    connection.head('POST', '/lora/enable', chunked);
    for (const character of '{"reason":"in_chunks"}') connection.chunk(character);
    const reply = await connection.lastChunk().reply();
    expect(reply).toMatchObject({ status: 200, body: { last_reason: 'in_chunks' } });
    connection.close();
  });

  it('may be empty', async () => {
    const { connection } = await open();
    const reply = await connection.head('POST', '/lora/enable', chunked).lastChunk().reply();
    expect(reply).toMatchObject({ status: 200, body: { last_reason: 'manual_operation' } });
    connection.close();
  });

  it('is refused like any other', async () => {
    await appendsNothing(service.database, async () => {
      const { connection } = await open();
      connection
        .head('POST', '/lora/enable', chunked)
        .chunk('{"reason":"a",')
        .chunk('"reason":"b"}')
        .lastChunk();
      expectInvalid(await connection.reply(), 'reason', '/lora/enable');
      connection.close();
    });
  });

  it('is answered 413 before it has ended', async () => {
    await appendsNothing(service.database, async () => {
      const { connection } = await open();
      connection.head('POST', '/lora/enable', chunked);
      for (let sent = 0; sent <= 16; sent++) connection.chunk(' '.repeat(1024));
      expectProblem(await connection.reply(), 'payload-too-large', '/lora/enable');
      connection.close();
    });
  });
});

it('goes on with the connection after a refused body', async () => {
  const { connection } = await open();
  connection.head('POST', '/lora/enable', { ...json, 'content-length': 40_000 }).write(' '.repeat(40_000));
  expectProblem(await connection.reply(), 'payload-too-large', '/lora/enable');
  const reply = await connection.head('POST', '/lora/enable').reply();
  expect(reply.status).toBe(200);
  connection.close();
});

describe('a client that breaks off', () => {
  it.each(COMMANDS)('%s %s has changed nothing', async (method, path) => {
    const before = await headOf(service.database);
    const { connection, accepted } = await open();
    connection.head(method, path, { ...json, 'content-length': 40 }).write('{"adapter_version":"v9"}');
    await eventually(() => accepted.bytesRead === connection.bytesSent);
    const closed = new Promise((resolve) => accepted.once('close', resolve));
    connection.breakOff();
    await closed;
    // Would stand behind whatever the broken call had appended.
    const next = await service.api.post('/lora/enable', { reason: 'after_it' });
    expect(next.body).toMatchObject({ generation: before + 1, last_reason: 'after_it' });
    expect(await headOf(service.database)).toBe(before + 1);
  });

  it('has killed, if it was a kill', async () => {
    await service.api.post('/lora/enable');
    const before = await headOf(service.database);
    const { connection, accepted } = await open();
    connection.head('POST', '/lora/disable', { ...json, 'content-length': 40 }).write('{"reason":"regr');
    await eventually(() => accepted.bytesRead === connection.bytesSent);
    connection.breakOff();
    await eventually(async () => (await headOf(service.database)) > before);
    const { body: status } = await service.api.get('/lora/status');
    expect(status).toMatchObject({ enabled: false, generation: before + 1, last_operation: 'disabled' });
    await service.api.post('/lora/enable');
  });
});

describe('a body that stalls', () => {
  it('is a 400 in the end, and has changed nothing', async () => {
    await appendsNothing(service.database, async () => {
      await Promise.all(
        COMMANDS.map(async ([method, path]) => {
          const connection = await RawConnection.open(service.api.url);
          connection.head(method, path, { ...json, 'content-length': 40 }).write('{"adapter_version":"v9"}');
          expectInvalid(await connection.reply(), 'body', path);
          connection.close();
        }),
      );
    });
  });

  it('does not keep a kill from killing within 2 s, and is named', async () => {
    await service.api.post('/lora/enable');
    const connection = await RawConnection.open(service.api.url);
    const began = performance.now();
    connection.head('POST', '/lora/disable', { ...json, 'content-length': 40 }).write('{"reason":"regr');
    const reply = await connection.reply();
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(reply).toMatchObject({
      status: 200,
      body: { enabled: false, last_reason: 'manual_operation' },
    });
    expect(reply.body.notice).toMatch(/^Ignored: the body \(.+\)\./);
    connection.close();
    await service.api.post('/lora/enable');
  });

  it('is taken when it arrives late: the log was never the trouble', async () => {
    const connection = await RawConnection.open(service.api.url);
    connection.head('POST', '/lora/enable', { ...json, 'content-length': 17 }).write('{"reason":');
    // The load itself, not a wait: a line so slow that the body takes longer than a command may.
    await new Promise((resume) => setTimeout(resume, 2_100));
    const reply = await connection.write('"slow"}').reply();
    expect(reply.body.code).not.toBe('log-unavailable');
    connection.close();
  });
});
