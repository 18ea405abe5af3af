import { expect, it } from '@jest/globals';

import { identityOf } from '../../src/access/oidc-claims.js';

const ISSUER = 'https://idp.example';
const settings = { issuer: ISSUER, audience: 'lora', rolesClaim: 'roles', fleetsClaim: undefined };
const withFleets = { ...settings, fleetsClaim: 'fleets' };

it('names its subject, and beside it what people call it', () => {
  expect(
    identityOf(settings, { sub: 'f:1:ana', roles: ['operator'], name: 'Ana', preferred_username: 'ana' }),
  ).toEqual({
    actor: `oidc:${ISSUER}/f:1:ana`,
    auth: 'oidc',
    name: 'Ana',
    fleets: null,
    roles: ['operator'],
  });
  expect(identityOf(settings, { sub: 'x', name: 7, preferred_username: 'ana' })?.name).toBe('ana');
  expect(identityOf(settings, { sub: 'x', name: 'A\nB' })?.name).toBeNull();
});

it.each([undefined, '', 'a\0b', 'a\nb', '\ud800', 'x'.repeat(256)])('takes no subject such as %j', (sub) => {
  expect(identityOf(settings, { sub, roles: ['admin'] })).toBeUndefined();
});

it.each([
  ['roles', { roles: ['viewer', 'operator', 'everything'] }, ['viewer', 'operator']],
  ['roles', { roles: 'breaker' }, ['breaker']],
  ['roles', { roles: ['Admin', 'admin ', 1, null, ['admin']] }, []],
  ['roles', { roles: { admin: true } }, []],
  ['roles', {}, []],
  ['realm_access.roles', { realm_access: { roles: ['admin'] } }, ['admin']],
  ['realm_access.roles', { realm_access: ['admin'] }, []],
  ['https://ops.example/roles', { 'https://ops.example/roles': ['auditor'] }, ['auditor']],
  ['constructor.name', {}, []],
  ['__proto__.roles', {}, []],
])('by the claim %s of %j it has the roles %j', (rolesClaim, claims, roles) => {
  expect(identityOf({ ...settings, rolesClaim }, { sub: 'x', ...claims })?.roles).toEqual(roles);
});

it.each([
  [{ fleets: ['blue', 'green'] }, ['blue', 'green']],
  [{ fleets: 'blue' }, ['blue']],
  [{ fleets: ['*'] }, null],
  [{ fleets: ['Blue', '../x', 3] }, []],
  [{ fleets: [] }, []],
  [{}, []],
])('where a claim has the fleets, %j is for %j', (claims, fleets) => {
  expect(identityOf(withFleets, { sub: 'x', ...claims })?.fleets).toEqual(fleets);
});
