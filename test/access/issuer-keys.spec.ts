import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Logger } from '@nestjs/common';

import { fetchKeys } from '../../src/access/issuer.js';
import { IssuerKeys, KEYS_GOOD_MS } from '../../src/access/issuer-keys.js';
import { eventually } from '../support/http.js';
import { TestIssuer } from '../support/issuer.js';

const HOUR = 60 * 60_000;

let issuer: TestIssuer;
let keys: IssuerKeys;
let now: number;
let gone: number;
beforeEach(async () => {
  Logger.overrideLogger(false);
  issuer = await TestIssuer.start();
  now = 0;
  gone = 0;
  keys = new IssuerKeys(
    issuer.url,
    () => gone++,
    () => now,
  );
  keys.begin();
  await eventually(() => keys.current);
});
afterEach(async () => {
  keys.end();
  await issuer.close();
});

it('goes by the last keys of an issuer that is away for a day, and then by none', async () => {
  issuer.leave();
  now = 23 * HOUR;
  expect(await keys.renewed()).toBeDefined();
  expect(keys.isAway).toBe(true);
  now = KEYS_GOOD_MS + 1;
  expect(keys.current).toBeUndefined();
  expect(await keys.renewed()).toBeUndefined();
  expect(gone).toBe(1);
  issuer.comeBack();
  now += 1000;
  expect(await keys.renewed()).toBeDefined();
  expect(keys.isAway).toBe(false);
});

it('finds a new key at once, but does not ask again and again', async () => {
  now = 10_000;
  await issuer.addKey('two');
  const before = issuer.asked;
  const renewed = await keys.renewed();
  expect(renewed?.texts.map((text) => (JSON.parse(text) as { kid: string }).kid)).toEqual(['one', 'two']);
  for (let n = 0; n < 50; n++) await keys.renewed();
  expect(issuer.asked).toBe(before + 1);
  expect(gone).toBe(0);
});

it('says when a key has been taken away', async () => {
  now = 10_000;
  await issuer.addKey('two');
  issuer.removeKey('one');
  await keys.renewed();
  expect(gone).toBe(1);
});

it('keeps what it had when the answer is none', async () => {
  now = 10_000;
  const before = keys.current;
  issuer.removeKey('one');
  issuer.leave();
  await keys.renewed();
  expect(keys.current).toBe(before);
});

it.each([
  ['another issuer', { issuer: 'https://evil.example', jwks_uri: '/keys' }, {}, /another issuer/],
  ['an address over no TLS', { jwks_uri: 'http://keys.example/' }, {}, /no address/],
  ['no address', {}, {}, /no address/],
  ['keys that are none', { jwks_uri: '/keys' }, { keys: [{ n: 1 }] }, /no set of keys/],
  ['no keys', { jwks_uri: '/keys' }, [], /no set of keys/],
  ['far too much', { jwks_uri: '/keys' }, { keys: 'x'.repeat(2_000_000) }, /too large/],
])('takes nothing from an issuer that names %s', async (_, about: Record<string, unknown>, answer, why) => {
  const server: Server = createServer((request, response) => {
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const named = about.jwks_uri === '/keys' ? { jwks_uri: `${base}/keys` } : {};
    response.end(JSON.stringify(request.url === '/keys' ? answer : { issuer: base, ...about, ...named }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await expect(fetchKeys(`http://127.0.0.1:${port}`)).rejects.toThrow(why);
  server.closeAllConnections();
  server.close();
});
