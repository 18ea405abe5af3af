import { afterEach, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { execFileSync } from 'node:child_process';
import { open, rename } from 'node:fs/promises';

import { AccessFile } from '../../src/access/access-file.js';
import type { Settings } from '../../src/config/settings.js';
import { type FileToken, newToken, TestAccessFile, textOf } from '../support/access.js';
import { eventually } from '../support/http.js';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  jest.restoreAllMocks();
  for (const close of closers.splice(0).reverse()) await close();
});

async function watch(tokens: readonly FileToken[]): Promise<{ file: TestAccessFile; access: AccessFile }> {
  Logger.overrideLogger(false);
  const file = await TestAccessFile.make(tokens);
  closers.push(() => file.remove());
  const access = new AccessFile({ accessFile: file.path } as Settings);
  await access.onModuleInit();
  closers.push(() => {
    access.beforeApplicationShutdown();
  });
  return { file, access };
}

it('parses a file once, however often it is looked at', async () => {
  const tokens: readonly FileToken[] = [{ name: 'ci', role: 'viewer' }];
  const { file, access } = await watch(tokens);
  const broken = textOf(tokens).replace('viewer', 'viewr');
  const parse = jest.spyOn(JSON, 'parse');
  const parsed = () => parse.mock.calls.filter(([text]) => text === broken).length;
  await file.replaceText(broken);
  // It is called broken at the second look.
  await eventually(() => access.isBroken);
  expect(parsed()).toBe(1);
});

it('ends what a token opens after a clock that went ahead was put back', async () => {
  const token = newToken();
  const tokens: readonly FileToken[] = [
    { name: 'ci', role: 'viewer', token, expires_at: new Date(Date.now() + 3_600_000).toISOString() },
  ];
  const { file, access } = await watch(tokens);
  const before = access.verify(token);
  const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 7_200_000);
  await eventually(() => before?.revoked.aborted);
  expect(access.verify(token)).toBeUndefined();
  clock.mockRestore();
  const again = access.verify(token);
  expect(again).toMatchObject({ actor: 'token:ci', revoked: { aborted: false } });
  expect(access.verify(token)).toBe(again);
  await file.replace([{ name: 'ana', role: 'viewer' }]);
  await eventually(() => again?.revoked.aborted);
  expect(access.verify(token)).toBeUndefined();
});

it('says so when the file does not answer, and takes it when it does', async () => {
  const token = newToken();
  const { file, access } = await watch([{ name: 'ci', role: 'viewer' }]);
  // A pipe into which nobody writes.
  const pipe = `${file.path}.pipe`;
  execFileSync('mkfifo', [pipe]);
  await rename(pipe, file.path);
  // Time goes by faster.
  const now = performance.now.bind(performance);
  jest.spyOn(performance, 'now').mockImplementation(() => 5 * now());
  await eventually(() => access.isBroken);
  // Who waits at the pipe reads this, and then the file in its place.
  const writing = await open(file.path, 'w');
  const next: readonly FileToken[] = [{ name: 'next', role: 'viewer', token }];
  await file.replace(next);
  await writing.writeFile(textOf(next));
  await writing.close();
  await eventually(() => !access.isBroken && access.verify(token));
});
