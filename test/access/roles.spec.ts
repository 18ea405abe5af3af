import { describe, expect, it } from '@jest/globals';

import {
  type Operation,
  OPERATIONS,
  operationsOf,
  reachOf,
  type Role,
  ROLES,
  rolesFor,
  ROUTES,
} from '../../src/access/roles.js';

/** From the issue, role by role; nothing of it comes from the table. */
const MAY: Readonly<Record<Role, readonly Operation[]>> = {
  viewer: ['status', 'stream', 'read', 'metrics', 'describe'],
  engine: ['status', 'stream', 'report', 'retire'],
  deployer: ['status', 'stream', 'read', 'deploy', 'metrics', 'describe'],
  operator: [
    ...(['status', 'stream', 'read', 'retire', 'deploy', 'disable', 'operate'] as const),
    ...(['metrics', 'describe'] as const),
  ],
  auditor: ['status', 'stream', 'read', 'export', 'audit', 'metrics', 'describe'],
  breaker: ['status', 'disable'],
  admin: OPERATIONS,
};

describe.each(ROLES)('%s', (role) => {
  it('may what it is for, and nothing else', () => {
    expect(operationsOf(role)).toEqual(MAY[role]);
    for (const operation of OPERATIONS) {
      expect([operation, rolesFor(operation).includes(role)]).toEqual([
        operation,
        MAY[role].includes(operation),
      ]);
    }
  });
});

describe('roles', () => {
  it('reach what belongs to others, but for an engine, which reports and ends its own rows only', () => {
    for (const role of ROLES)
      for (const operation of MAY[role]) {
        const own = role === 'engine' && ['report', 'retire'].includes(operation);
        expect([role, operation, reachOf([role], operation)]).toEqual([role, operation, own ? 'own' : 'all']);
      }
  });

  it('together may what each may, as far as the farthest', () => {
    expect(reachOf(['viewer', 'breaker'], 'disable')).toBe('all');
    expect(reachOf(['engine', 'operator'], 'retire')).toBe('all');
    expect(reachOf(['engine', 'viewer'], 'report')).toBe('own');
    expect(reachOf(['viewer', 'engine'], 'disable')).toBeUndefined();
    expect(reachOf([], 'status')).toBeUndefined();
  });
});

it('every operation is needed by a route, or by the pages that describe them', () => {
  const needed = Object.values(ROUTES).flatMap((route) =>
    route === undefined || route === 'open' ? [] : [route.needs],
  );
  expect(new Set([...needed, 'describe'])).toEqual(new Set(OPERATIONS));
});
