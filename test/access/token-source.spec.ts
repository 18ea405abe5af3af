import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { TokenError, tokenSource } from '../../src/token-source.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'token-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('is what the environment has, without the white space around it', () => {
  expect(tokenSource(undefined, ' lora_a\n')()).toBe('lora_a');
  expect(tokenSource('', 'lora_a')()).toBe('lora_a');
  expect(tokenSource(undefined, undefined)()).toBeUndefined();
  expect(tokenSource(undefined, ' ')()).toBeUndefined();
});

it('is what the file has at each use, and what it had last when it is gone or empty', async () => {
  const file = join(folder, 'token');
  await writeFile(file, 'lora_a\n');
  const source = tokenSource(file, 'lora_of-the-environment');
  expect(source()).toBe('lora_a');
  await writeFile(file, 'lora_b\n');
  expect(source()).toBe('lora_b');
  await writeFile(file, '');
  expect(source()).toBe('lora_b');
  await rm(file);
  expect(source()).toBe('lora_b');
});

it.each([
  ['hunter2 hunter3', 'does not hold a token'],
  ['hunter2\r\nX-Evil: 1', 'does not hold a token'],
  ['', 'does not hold a token'],
])('%j is none, and is not repeated', async (text, why) => {
  const file = join(folder, 'bad');
  await writeFile(file, text);
  const use = (): unknown => tokenSource(file, undefined)();
  expect(use).toThrow(new TokenError(`The token file ${file} ${why}.`));
});

it('says why a file cannot be read', () => {
  expect(() => tokenSource(join(folder, 'none'), undefined)()).toThrow(/cannot be read \(ENOENT\)\.$/);
});
