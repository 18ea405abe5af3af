import { describe, expect, it } from '@jest/globals';

import type { Heard } from '../../src/cli/http-call.js';
import { judge, retryAfter } from '../../src/cli/verdict.js';

const NOW = new Date('2026-11-25T02:00:00Z');

const heard = (status: number, body: unknown, headers: Heard['headers'] = {}): Heard => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  text: typeof body === 'string' ? body : JSON.stringify(body),
});
const problem = (status: number, code: string, more: object = {}) =>
  heard(status, { type: `urn:lora-control-plane:problem:${code}`, code, detail: 'Why.', ...more });

describe('what an answer to a command means', () => {
  it.each([
    ['the state', heard(200, { generation: 4 }), { type: 'done' }],
    ['the state, not arrived', heard(202, { generation: 4 }), { type: 'done' }],
    ['a refusal', problem(409, 'kill-switch-active'), { type: 'refused', problem: { detail: 'Why.' } }],
    [
      'certainly nothing',
      problem(503, 'log-unavailable', { outcome: 'none' }),
      { type: 'again', mayHaveLanded: false },
    ],
    [
      'unknown',
      problem(503, 'log-unavailable', { outcome: 'unknown' }),
      { type: 'again', mayHaveLanded: true },
    ],
    [
      'a caller who cannot be known now',
      problem(503, 'issuer-unavailable'),
      { type: 'again', mayHaveLanded: false },
    ],
    ['a failure', problem(500, 'internal-error'), { type: 'again', mayHaveLanded: true }],
    ['a proxy without a replica', heard(502, '<html>'), { type: 'again', mayHaveLanded: true }],
    ['a proxy that is asked too often', heard(429, '<html>'), { type: 'again', mayHaveLanded: false }],
    ['JSON cut off', heard(200, '{"generation": 4, "ena'), { type: 'again', mayHaveLanded: true }],
    ['a login page', heard(200, '<html>', { 'content-type': 'text/html' }), { type: 'foreign' }],
    ['another service', heard(200, { ok: true }), { type: 'foreign' }],
    ['nothing, well done', heard(204, '', { 'content-type': undefined }), { type: 'foreign' }],
    ['a refusal of another service', heard(404, { error: 'no' }), { type: 'foreign' }],
    ['a redirect', heard(301, '', { location: 'https://x/' }), { type: 'foreign', status: 301 }],
  ])('%s', (_, answer, verdict) => {
    expect(judge(answer, 'generation', NOW)).toMatchObject(verdict);
  });

  it('a removal is answered without a body', () => {
    expect(judge(heard(204, ''), 204, NOW)).toMatchObject({ type: 'done' });
  });

  it('shows no control characters of a server', () => {
    const verdict = judge(problem(409, 'x', { detail: 'a\u001b[2Jb' }), 'generation', NOW);
    expect(verdict).toMatchObject({ problem: { detail: 'a�[2Jb' } });
  });
});

it.each([
  [undefined, 0],
  ['1', 1000],
  ['999999', 60_000],
  ['Wed, 25 Nov 2026 02:00:05 GMT', 5000],
  ['Wed, 25 Nov 2026 01:00:00 GMT', 0],
  ['soon', 0],
])('Retry-After: %s is %d ms', (header, ms) => {
  expect(retryAfter(header, NOW)).toBe(ms);
});
