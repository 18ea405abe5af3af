import { afterEach, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';

import { CallerNames } from '../../src/access/caller-names.js';
import { OidcVerifier } from '../../src/access/oidc.verifier.js';
import type { Settings } from '../../src/config/settings.js';
import { eventually } from '../support/http.js';
import { AUDIENCE, newKey, TestIssuer } from '../support/issuer.js';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  jest.restoreAllMocks();
  for (const close of closers.splice(0).reverse()) await close();
});

it('takes no token whose key has gone while it was checked', async () => {
  Logger.overrideLogger(false);
  const issuer = await TestIssuer.start();
  closers.push(() => issuer.close());
  const oidc = { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', fleetsClaim: undefined };
  // No token here names anybody, so that nothing is to be recorded.
  const verifier = new OidcVerifier({ oidc } as Settings, new CallerNames(undefined as never));
  verifier.onModuleInit();
  closers.push(() => {
    verifier.beforeApplicationShutdown();
  });
  const token = await issuer.sign();
  await eventually(() => !verifier.isIssuerAway && issuer.asked === 1);
  expect(await verifier.verify(await issuer.sign({ sub: 'before' }))).toMatchObject({ auth: 'oidc' });

  const { subtle } = globalThis.crypto;
  const verify = subtle.verify.bind(subtle);
  let go: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (go = resolve));
  const began = jest.spyOn(subtle, 'verify').mockImplementationOnce(async (...all) => {
    await held;
    return verify(...all);
  });
  const checking = verifier.verify(token);
  await eventually(() => began.mock.calls.length === 1);
  issuer.removeKey('one');
  await issuer.addKey('two');
  // The issuer is asked again for a key that is not known, a while after the last time.
  const later = performance.now() + 20_000;
  const clock = jest.spyOn(performance, 'now').mockReturnValue(later);
  expect(await verifier.verify(await issuer.sign({}, await newKey('three')))).toBeUndefined();
  clock.mockRestore();
  expect(issuer.asked).toBe(2);
  go();
  expect(await checking).toBeUndefined();
  expect(await verifier.verify(token)).toBeUndefined();
  expect(await verifier.verify(await issuer.sign())).toMatchObject({ auth: 'oidc' });
});
