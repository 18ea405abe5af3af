import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { lineBatches } from '../../src/cli/line-batches.js';
import { eventsOf, key, linesOf, LOG_ID, noteOf, rootAt } from '../audit/core/exported-log.js';
import { runInside } from '../support/command-line.js';

const events = eventsOf();
let folder: string;
let file: string;
let checkpoint: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'loractl-'));
  file = join(folder, 'log.ndjson');
  checkpoint = join(folder, 'checkpoint');
  await writeFile(file, text(linesOf(events)));
  await writeFile(checkpoint, noteOf(events, 7));
});
afterAll(() => rm(folder, { recursive: true }));

const text = (lines: readonly object[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('');

describe('loractl verify', () => {
  it('says what scripts go by', async () => {
    const words = ['--json', 'verify', file, '--key', key.verifier.text, '--checkpoint', checkpoint];
    const { code, out } = await runInside(words);
    expect({ code, verdict: JSON.parse(out) as unknown }).toEqual({
      code: 0,
      verdict: {
        exit_code: 0,
        ...{ outcome: 'unaltered', log_id: LOG_ID, events: 7, covered: 7, position: null, why: [] },
      },
    });
  });

  it('takes several checkpoints, and a folder of them', async () => {
    const [kept, first] = [join(folder, 'kept'), join(folder, 'first')];
    await mkdir(kept);
    await writeFile(first, noteOf(events, 1));
    await writeFile(join(kept, '3'), noteOf(events, 3));
    const words = ['verify', file, '--key', key.verifier.text, '--checkpoint', first, kept];
    expect(await runInside(words)).toMatchObject({
      code: 0,
      out: expect.stringMatching(
        /^UNALTERED: 3 events as they were signed\.\n4 events after that: /,
      ) as unknown,
    });
    await writeFile(join(kept, '4'), 'broken off');
    const { code, out } = await runInside(words);
    expect(code).toBe(2);
    expect(out).toContain('kept/4: This is not a signed note');
  });

  it('says what a log has lost that goes on after a restore', async () => {
    const later = LOG_ID.replace('a', 'b');
    const about = { log_id: later, adoptions: [{ log_id: later, previous_log_id: LOG_ID, position: 5 }] };
    const continues = { logId: LOG_ID, size: 5, root: rootAt(events, 5) };
    const [newer, note] = [join(folder, 'newer.ndjson'), join(folder, 'newer')];
    await writeFile(newer, text(linesOf(events.slice(0, 5), about)));
    await writeFile(note, noteOf(events, 5, { logId: later, continues }));
    const words = [
      'verify',
      newer,
      '--continues',
      file,
      '--key',
      key.verifier.text,
      '--checkpoint',
      checkpoint,
      note,
    ];
    expect(await runInside(words)).toEqual({
      code: 0,
      err: '',
      out: `${newer}:
  UNALTERED: 5 events as they were signed.
${file}:
  UNALTERED: 7 events as they were signed.
The newer log goes on from position 5 of the older one.
LOST there: 2 events.
  position  time                         event            fleet    version after it  by         why
  6         2026-11-24T02:14:07.000006Z  AdapterDeployed  canary   v2                token:ana  manual_operation
  7         2026-11-24T02:14:07.000007Z  LoraEnabled      default  v1                token:ana  manual_operation
`,
    });
    const { code, out } = await runInside([
      '--json',
      ...words.map((word) => (word === file ? 'none' : word)),
    ]);
    expect({ code, outcome: JSON.parse(out) as unknown }).toMatchObject({
      code: 2,
      outcome: { outcome: 'unknown' },
    });
  });

  it('cannot tell without a key, from a file that is not there, or from a folder', async () => {
    for (const words of [
      [file, '--checkpoint', checkpoint],
      [join(folder, 'none'), '--key', key.verifier.text, '--checkpoint', checkpoint],
      [folder, '--key', key.verifier.text, '--checkpoint', checkpoint],
      [file, '--key', key.verifier.text, '--checkpoint', join(folder, 'none')],
    ]) {
      const { code, out } = await runInside(['verify', ...words]);
      expect(out).toMatch(/^CANNOT TELL whether it was altered\.\n/);
      expect(code).toBe(2);
    }
  });

  it.each([
    ['--key', 'lora-control-plane+00000000+AA'],
    ['--receipt', 'of yesterday'],
  ])('%s of another form is a slip', async (...words) => {
    const { code, err } = await runInside(['verify', file, ...words]);
    expect(code).toBe(2);
    expect(err).toMatch(/^loractl: [^\n]+\n$/);
  });

  it('prints nothing that moves the cursor of who reads it', async () => {
    const lines = linesOf(
      events.map((event, at) => (at === 2 ? { ...event, leaf_hash: '\u001b[2J\u202e' } : event)),
    );
    const odd = join(folder, 'odd.ndjson');
    await writeFile(odd, text(lines));
    const { code, out } = await runInside(['verify', odd]);
    expect(code).toBe(1);
    for (const mark of ['\u001b', '\u202e']) expect(out).not.toContain(mark);
  });
});

describe('lines', () => {
  async function lines(...chunks: string[]): Promise<string[]> {
    async function* source(): AsyncGenerator<Buffer> {
      for (const chunk of chunks) yield await Promise.resolve(Buffer.from(chunk, 'latin1'));
    }
    const found: string[] = [];
    for await (const batch of lineBatches(source())) found.push(...batch);
    return found;
  }

  it('are the same wherever chunks end, in a character too', async () => {
    const bytes = Buffer.from('é\n\nab—c\nd').toString('latin1');
    for (let at = 0; at <= bytes.length; at++) {
      expect(await lines(bytes.slice(0, at), bytes.slice(at))).toEqual(['é', '', 'ab—c', 'd']);
    }
    expect(await lines(...bytes)).toEqual(['é', '', 'ab—c', 'd']);
    expect(await lines('a\n')).toEqual(['a']);
    expect(await lines()).toEqual([]);
  });

  it('have an end', async () => {
    await expect(lines('a'.repeat(9e6), 'a'.repeat(9e6))).rejects.toThrow('more than 16 MB');
  });
});
