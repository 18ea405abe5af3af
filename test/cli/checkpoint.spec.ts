import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { generateSignerKey } from '../../src/audit/core/note.js';
import { eventsOf, key, LOG_ID, noteOf } from '../audit/core/exported-log.js';
import { type Ran, runInside } from '../support/command-line.js';

const events = eventsOf();
const note = noteOf(events, 5);
const answer = { log_id: LOG_ID, size: 5, root: '', key: key.verifier.text, note, taken_at: '' };
const signed = `5 events of log ${LOG_ID}; its signature is good.\n`;

/** Against a server that answers what the test wants. */
describe('loractl checkpoint', () => {
  let folder: string;
  let answered: object;
  let asked: string | undefined;
  const server = createServer((request, response) => {
    asked = request.url;
    response.setHeader('Content-Type', 'application/json').end(JSON.stringify(answered));
  });

  const run = (...words: string[]): Promise<Ran> => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return runInside(['--url', url, 'checkpoint', ...words]);
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'loractl-'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  beforeEach(() => {
    answered = answer;
  });
  afterAll(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });

  it('prints the note, and whose log it is of', async () => {
    expect(await run('--fresh', '--key', key.verifier.text)).toEqual({ code: 0, out: note, err: signed });
    expect(asked).toBe('/audit/checkpoint?fresh=true');
    const { code, out, err } = await run();
    expect({ code, out }).toEqual({ code: 0, out: note });
    expect(err).toContain('its signature was not checked');
    expect(asked).toBe('/audit/checkpoint');
    expect(JSON.parse((await run('--json', '--key', key.verifier.text)).out)).toEqual({
      ...answer,
      checked: true,
    });
  });

  it('keeps it in a file or a folder, and writes over none', async () => {
    const file = join(folder, 'one');
    const kept = { code: 0, out: '', err: `${file}: ${signed}` };
    expect(await run('--key', key.verifier.text, '-o', file)).toEqual(kept);
    expect(await run('--key', key.verifier.text, '-o', file)).toEqual(kept);
    expect(await readFile(file, 'utf8')).toBe(note);
    await writeFile(file, 'another');
    const { code, err } = await run('-o', file);
    expect(code).toBe(1);
    expect(err).toMatch(/^loractl: not done: the checkpoint was not kept: EEXIST[^\n]+\n$/);
    expect(await readFile(file, 'utf8')).toBe('another');
    expect((await run('-o', folder)).code).toBe(0);
    expect(await readdir(folder)).toContain(`${LOG_ID}-5.checkpoint`);
  });

  it.each([
    ['another key has signed', { note: noteOf(events, 5, {}, generateSignerKey('lora-control-plane')) }],
    ['was changed', { note: note.replace('\n5\n', '\n6\n') }],
    ['says another size', { size: 6 }],
    ['says another log', { log_id: LOG_ID.replace('a', 'b') }],
    ['is none', { note: 'x' }],
  ])('one that %s is kept nowhere', async (_, change) => {
    answered = { ...answer, ...change };
    const file = join(folder, 'bad');
    const { code, err } = await run('--key', key.verifier.text, '-o', file);
    expect(code).toBe(1);
    expect(err).toMatch(/^loractl: not done: the checkpoint is not good: [^\n]+\n$/);
    expect(await readdir(folder)).not.toContain('bad');
  });
});
