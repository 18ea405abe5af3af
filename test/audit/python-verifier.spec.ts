import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { generateSignerKey } from '../../src/audit/core/note.js';
import { eventsOf, key, type Line, linesOf, LOG_ID, noteOf } from './core/exported-log.js';

/** The verifier that docs/audit.md prints, run as it stands there: it shares nothing with this project. */
const page = await readFile(new URL('../../docs/audit.md', import.meta.url), 'utf8');
const [, program = ''] = /^```python\n(.*?)^```$/ms.exec(page) ?? [];
const hasPython = spawnSync('python3', ['--version']).status === 0;

const events = eventsOf();
const whole = linesOf(events);
const note = noteOf(events, 5);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'python-'));
  await writeFile(join(folder, 'verify.py'), program);
});
afterAll(() => rm(folder, { recursive: true }));

async function run(lines: readonly Line[], checkpoint: string, by = key.verifier.text): Promise<string> {
  await writeFile(join(folder, 'log.ndjson'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  await writeFile(join(folder, 'checkpoint'), checkpoint);
  const { stdout, stderr, status } = spawnSync('python3', ['verify.py', 'log.ndjson', 'checkpoint', by], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env.PATH, PYTHONIOENCODING: 'utf-8' },
  });
  return `${status ?? 'ended'} ${(stdout + stderr).trim()}`;
}

const changed = (at: number, change: Line): Line[] =>
  whole.map((line, index) => (index === at ? { ...line, ...change } : line));

const cases: [string, readonly Line[], string, string, string][] = [
  ['nobody touched', whole, note, key.verifier.text, '0 UNALTERED: 5 events as they were signed.'],
  ['with another body', changed(3, { body: '{}' }), note, key.verifier.text, '1 ALTERED at position 3.'],
  [
    'without an event',
    whole.filter((_, at) => at !== 4),
    note,
    key.verifier.text,
    '1 ALTERED at position 4.',
  ],
  ['that was cut', whole.slice(0, 4), note, key.verifier.text, '1 ALTERED: these are not the first 5 events'],
  [
    'that was rewritten',
    linesOf(eventsOf(undefined, (body) => ({ ...body, source: 'x' }))),
    note,
    key.verifier.text,
    '1 ALTERED: these are not the first 5 events',
  ],
  [
    'by a checkpoint that was changed',
    whole,
    note.replace('\n5\n', '\n4\n'),
    key.verifier.text,
    '1 CANNOT TELL: this',
  ],
  [
    'by another key',
    whole,
    note,
    generateSignerKey('lora-control-plane').verifier.text,
    '1 CANNOT TELL: this key',
  ],
  [
    'by the checkpoint of another log',
    whole,
    noteOf(events, 5, { logId: LOG_ID.replace('a', 'b') }),
    key.verifier.text,
    '1 CANNOT TELL: the checkpoint is of another log.',
  ],
];

it('is printed whole', () => {
  expect(program).toContain('UNALTERED');
  expect(program.split('\n').filter((line) => line !== '').length).toBeLessThan(50);
});

it.each(cases)('tells of a log %s', async (_, lines, checkpoint, by, said) => {
  // Where there is no Python there is nothing that could be wrong.
  if (hasPython) expect(await run(lines, checkpoint, by)).toContain(said);
});
