import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { bearer, newToken, TestAccessFile } from '../support/access.js';
import { startApp, type TestApp } from '../support/app.js';
import { expectProblem } from '../support/problem.js';

const good = newToken();
let file: TestAccessFile;
let service: TestApp;

beforeAll(async () => {
  file = await TestAccessFile.make([{ name: 'robot', role: 'breaker', token: good }]);
  service = await startApp({ ACCESS_FILE: file.path, TRUST_PROXY: 'loopback' });
});
afterAll(async () => {
  await service.close();
  await file.remove();
});

it('too many tokens that are not good are 429, and a good one from the same place always gets through', async () => {
  const from = { 'x-forwarded-for': '192.0.2.1' };
  const kill = (token: string, headers: Record<string, string> = from) =>
    service.api.post('/lora/disable', undefined, { ...headers, ...bearer(token) });
  for (let n = 0; n < 120; n++) expect((await kill('guess')).status).toBe(401);
  const refused = await kill('guess');
  expectProblem(refused, 'too-many-attempts', '/lora/disable');
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(refused.body.notice).toBe('Nothing was changed.');
  for (let n = 0; n < 20; n++) expect((await kill(good)).status).toBe(200);
  expect((await kill('guess', { 'x-forwarded-for': '192.0.2.2' })).status).toBe(401);
  // Who says nothing tries nothing.
  expect((await service.api.get('/lora/status', from)).status).toBe(401);
});
