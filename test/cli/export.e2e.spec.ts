import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type Ran, runLine, startLine } from '../support/command-line.js';
import { createDatabase } from '../support/database.js';
import { startReplica } from '../support/replica.js';

const WHOLE = '{"record":"log"}\n{"record":"event","position":1}\n{"record":"end","events":1}\n';

/** Against a server that breaks off where the test wants it. */
describe('loractl export', () => {
  let folder: string;
  let answer: (response: ServerResponse) => void = () => undefined;
  let asked: string | undefined;
  const server = createServer((request, response) => {
    if (request.url === '/lora/status?fleet=canary') {
      response.end('{"generation":1}');
      return;
    }
    asked = request.url;
    response.setHeader('Content-Type', asked?.includes('csv') ? 'text/csv' : 'application/x-ndjson');
    answer(response);
  });

  const run = (...words: string[]): Promise<Ran> =>
    runLine(['export', ...words], {
      LORA_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    });
  const file = () => join(folder, 'log.ndjson');

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'loractl-'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });

  afterEach(async () => {
    for (const name of await readdir(folder)) await rm(join(folder, name));
  });

  afterAll(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });

  it('brings the whole log, into a file or to standard output', async () => {
    answer = (response) => response.end(WHOLE);
    expect(await run('--fleet', 'canary', '--since', '2026-11-24T02:14:07Z', '-o', file())).toEqual({
      code: 0,
      out: '',
      err: `${file()}: 3 lines, 0.0 MB.\n`,
    });
    expect(asked).toBe('/lora/history/export?format=ndjson&fleet=canary&since=2026-11-24T02%3A14%3A07Z');
    expect(await readFile(file(), 'utf8')).toBe(WHOLE);
    expect(await readdir(folder)).toEqual(['log.ndjson']);
    expect(await run()).toEqual({ code: 0, out: WHOLE, err: '' });
    answer = (response) => response.end('position,type\n1,LoraDisabled\n');
    expect((await run('--format', 'csv')).out).toBe('position,type\n1,LoraDisabled\n');
  });

  it.each([
    ['broken off', (response: ServerResponse) => response.write(WHOLE, () => response.destroy())],
    ['without its last line', (response: ServerResponse) => response.end(WHOLE.slice(0, -28))],
    ['in the middle of a line', (response: ServerResponse) => response.end(WHOLE.slice(0, -1))],
    ['empty', (response: ServerResponse) => response.end()],
  ])('that is %s is an error, and leaves what was there before', async (_, cut) => {
    await writeFile(file(), 'of yesterday');
    answer = cut;
    const { code, out, err } = await run('--output', file());
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/^loractl: not done: the export is not whole: [^\n]+ was not written\.\n$/);
    expect(await readdir(folder)).toEqual(['log.ndjson']);
    expect(await readFile(file(), 'utf8')).toBe('of yesterday');
  });

  it('that is interrupted is not done', async () => {
    answer = (response) => response.write(WHOLE);
    const { port } = server.address() as AddressInfo;
    const piped = startLine(['export', '--url', `127.0.0.1:${port}`]);
    await piped.shows('"record":"end"');
    piped.process.kill('SIGINT');
    expect(await piped.ended()).toBe(1);
    expect(piped.err()).toMatch('interrupted');
  });

  it('never takes the place of a pipe, a device or a folder', async () => {
    answer = (response) => response.end(WHOLE);
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    for (const place of [pipe, folder]) {
      expect(await run('-o', place)).toEqual({
        code: 2,
        out: '',
        err: `loractl: ${place} is there and is no file. Nothing was sent.\n`,
      });
    }
    expect((await stat(pipe)).isFIFO()).toBe(true);
    expect(await run('-o', '-')).toEqual({ code: 0, out: WHOLE, err: '' });
  });

  it('cannot be written: one line', async () => {
    answer = (response) => response.end(WHOLE);
    const { code, err } = await run('-o', join(folder, 'no', 'such', 'folder'));
    expect(code).toBe(1);
    expect(err).toMatch(/^loractl: not done: [^\n]+\n$/);
  });
});

describe('loractl export, against the service', () => {
  it('brings the log as it is', async () => {
    const database = await createDatabase();
    const replica = await startReplica({ env: { DATABASE_URL: database.url } });
    const folder = await mkdtemp(join(tmpdir(), 'loractl-'));
    try {
      await replica.api.post('/lora/disable', { reason: 'regression_detected' });
      const file = join(folder, 'log.ndjson');
      const lines = await runLine(['export', '-o', file], { LORA_URL: replica.api.url });
      expect(lines).toMatchObject({ code: 0, out: '' });
      const records = (await readFile(file, 'utf8')).trimEnd().split('\n');
      expect(records.map((line) => (JSON.parse(line) as { record: string }).record)).toEqual([
        ...['log', 'event', 'event', 'end'],
      ]);
      const piped = startLine(['verify', '-']);
      piped.process.stdin?.end(await readFile(file));
      expect(await piped.ended()).toBe(2);
      expect(piped.out()).toContain(
        'No checkpoint vouches for any of it.\n2 events read: nothing wrong in them.',
      );
      const csv = await runLine(['export', '--format', 'csv'], { LORA_URL: replica.api.url });
      expect(csv.code).toBe(0);
      expect(csv.out).toContain(',LoraDisabled,default,');
    } finally {
      await replica.stop();
      await database.drop();
      await rm(folder, { recursive: true });
    }
  });
});
