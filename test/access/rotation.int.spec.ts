import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { bearer, type FileToken, newToken, sha256Of, TestAccessFile, textOf } from '../support/access.js';
import type { OpenApp } from '../support/start.js';
import { startOpenApp } from '../support/open-app.js';
import { eventually } from '../support/http.js';
import { expectProblem } from '../support/problem.js';
import { RawConnection } from '../support/raw-http.js';
import { EventStream } from '../support/sse.js';

/** A change of the file counts within this time. */
const WITHIN_MS = 2000;

const [old, next] = [newToken(), newToken()];
const stays: FileToken = { name: 'stays', role: 'admin', token: newToken() };
const OLD: FileToken = { name: 'ci', role: 'operator', token: old };
const NEW: FileToken = { name: 'ci', role: 'operator', token: next };

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(tokens: readonly FileToken[]): Promise<{ file: TestAccessFile; service: OpenApp }> {
  const file = await TestAccessFile.make(tokens);
  closers.push(() => file.remove());
  const service = await startOpenApp({ ACCESS_FILE: file.path });
  closers.push(() => service.close());
  return { file, service };
}

const statusFor = async ({ api }: OpenApp, token = ''): Promise<number> =>
  (await api.get('/lora/status', bearer(token))).status;

/** How long it takes until it is so, in milliseconds. */
async function timeUntil(condition: () => Promise<boolean>): Promise<number> {
  const from = performance.now();
  await eventually(condition);
  return performance.now() - from;
}

describe('a change of the access file', () => {
  it('counts within 2 s, and fails nobody else meanwhile', async () => {
    const { file, service } = await start([stays, OLD]);
    const others: number[] = [];
    const done = new AbortController();
    const asking = (async () => {
      while (!done.signal.aborted) others.push(await statusFor(service, stays.token));
    })();
    await file.replace([stays, OLD, NEW]);
    expect(await timeUntil(async () => (await statusFor(service, next)) === 200)).toBeLessThan(WITHIN_MS);
    expect(await statusFor(service, old)).toBe(200);
    await file.replace([stays, NEW]);
    expect(await timeUntil(async () => (await statusFor(service, old)) === 401)).toBeLessThan(WITHIN_MS);
    expect(await statusFor(service, next)).toBe(200);
    done.abort();
    await asking;
    expect(new Set(others)).toEqual(new Set([200]));
    expect(others.length).toBeGreaterThan(10);
  });

  it('counts when the file is written over, too', async () => {
    const { file, service } = await start([OLD]);
    await writeFile(file.path, textOf([NEW]));
    expect(await timeUntil(async () => (await statusFor(service, next)) === 200)).toBeLessThan(WITHIN_MS);
    expect(await statusFor(service, old)).toBe(401);
  });

  it('counts when a link on the way to it is turned, as Kubernetes does', async () => {
    const { file, service } = await start([OLD]);
    const folder = dirname(file.path);
    for (const [name, tokens] of [
      ['..1', [OLD]],
      ['..2', [NEW]],
    ] as const) {
      await mkdir(join(folder, name));
      await writeFile(join(folder, name, 'access.json'), textOf(tokens));
    }
    await symlink('..1', join(folder, '..data'));
    await rm(file.path);
    await symlink('..data/access.json', file.path);
    await symlink('..2', join(folder, '..next'));
    await rename(join(folder, '..next'), join(folder, '..data'));
    expect(await timeUntil(async () => (await statusFor(service, next)) === 200)).toBeLessThan(WITHIN_MS);
    expect(await statusFor(service, old)).toBe(401);
  });

  it('ends what a token that is gone holds open, refuses what it has not sent whole, and touches no other', async () => {
    const { file, service } = await start([stays, OLD]);
    const [slow, head] = [
      await RawConnection.open(service.api.url),
      await RawConnection.open(service.api.url),
    ];
    closers.push(() => {
      for (const each of [slow, head]) each.close();
      return Promise.resolve();
    });
    const [ending, staying] = [
      await EventStream.open(service.api.url, '/lora/stream', bearer(old)),
      await EventStream.open(service.api.url, '/lora/stream', bearer(stays.token ?? '')),
    ];
    closers.push(async () => {
      staying.close();
      await staying.end();
    });
    await Promise.all([ending.first(1), staying.first(1)]);
    const { headers } = await service.api.get('/lora/status', bearer(old));
    const wait = { ...bearer(old), 'if-none-match': headers.get('etag') ?? '', prefer: 'wait=60' };
    const waiting = service.api.get('/lora/status', wait).then(
      () => 'answered',
      () => 'ended',
    );
    head.head('HEAD', '/lora/status', wait);
    const metrics = async (): Promise<string> => (await fetch(`${service.api.url}/metrics`)).text();
    await eventually(async () => (await metrics()).includes('lora_streams_open 4'));
    slow
      .head('POST', '/lora/rollback', {
        ...bearer(old),
        'content-type': 'application/json',
        'content-length': 2,
      })
      .write('{');
    const from = performance.now();
    await file.replace([stays]);
    expect(await waiting).toBe('ended');
    expect((await ending.end()) - from).toBeLessThan(WITHIN_MS);
    await eventually(async () => (await metrics()).includes('lora_streams_open 1'));
    expect(staying.endedAt).toBeUndefined();
    slow.write('}');
    expectProblem(await slow.reply(), 'unauthenticated', '/lora/rollback');
    await service.api.post('/lora/disable', undefined, bearer(stays.token ?? ''));
    expect((await staying.first(2))[1]?.data).toMatchObject({ enabled: false, last_actor: 'token:stays' });
  });

  it('ends the streams of a token whose role is another, or whose time has come', async () => {
    const { file, service } = await start([stays, OLD]);
    const soon = new Date(Date.now() + 4000).toISOString();
    await file.replace([stays, OLD, { ...NEW, name: 'brief', expires_at: soon }]);
    await eventually(async () => (await statusFor(service, next)) === 200);
    const [changing, expiring] = [
      await EventStream.open(service.api.url, '/lora/stream', bearer(old)),
      await EventStream.open(service.api.url, '/lora/stream', bearer(next)),
    ];
    await Promise.all([changing.first(1), expiring.first(1)]);
    await expiring.end();
    expect(Date.now() - Date.parse(soon)).toBeLessThan(WITHIN_MS);
    expect(await statusFor(service, next)).toBe(401);
    await file.replace([stays, { ...OLD, role: 'breaker' }]);
    await changing.end();
    const again = await EventStream.open(service.api.url, '/lora/stream', bearer(old));
    expect(again.status).toBe(403);
    again.close();
  });
});

describe('an access file that is broken', () => {
  let file: TestAccessFile;
  let service: OpenApp;
  beforeAll(async () => {
    file = await TestAccessFile.make([OLD]);
    service = await startOpenApp({ ACCESS_FILE: file.path });
  });
  afterAll(async () => {
    await service.close();
    await file.remove();
  });

  it.each([
    ['is no JSON', '{"tokens":[', 'the file is not well-formed JSON'],
    ['is gone', null, 'ENOENT'],
    ['has nobody', '{"tokens":[]}', 'tokens must be a list of at least one token'],
  ])('%s: the last good one counts, and log, metric and health say so', async (_name, text, reason) => {
    const earlier = service.logged.length;
    const logged = () => service.logged.slice(earlier);
    const good = await readFile(file.path, 'utf8');
    const digest = `lora_access_file_digest ${Number.parseInt(sha256Of(good).slice(0, 12), 16)}`;
    const health = async () => (await service.api.get('/health')).body as unknown;
    const metric = async (): Promise<string> => (await fetch(`${service.api.url}/metrics`)).text();
    if (text === null) await rm(file.path);
    else await file.replaceText(text);
    await eventually(() => logged().some((line) => line.includes('the last good one stays in force')));
    expect(logged().join('\n')).toContain(reason);
    expect(await health()).toMatchObject({ status: 'degraded', components: { access: 'file-broken' } });
    expect((await metric()).split('\n')).toEqual(
      expect.arrayContaining(['lora_access_file_broken 1', digest]),
    );
    expect(await statusFor(service, old)).toBe(200);
    await file.replaceText(good);
    await eventually(() => logged().includes('The access file can be used again.'));
    expect(await health()).toMatchObject({ status: 'ok', components: { access: 'required' } });
    expect(await metric()).toContain('lora_access_file_broken 0');
  });

  it('stops the start', async () => {
    const empty = await TestAccessFile.make([]);
    closers.push(() => empty.remove());
    await expect(startOpenApp({ ACCESS_FILE: empty.path })).rejects.toThrow(
      `ACCESS_FILE ${empty.path} cannot be used: tokens must be a list of at least one token.`,
    );
  });
});
