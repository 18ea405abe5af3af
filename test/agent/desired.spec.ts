import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { type Circumstances, desired, type Desired } from '../../src/agent/desired.js';
import type { Knowledge } from '../../src/agent/knowledge.js';
import { knowledgeFrom } from '../../src/agent/snapshot-keeper.js';
import { state } from './fake-control-plane.js';

const knows = (rest: Partial<Knowledge> = {}): Knowledge => ({
  state: state(1),
  origin: 'live',
  confirmedAt: 1000,
  held: null,
  ...rest,
});
const given = (rest: Partial<Circumstances> = {}): Circumstances => ({
  knowledge: knows(),
  localKill: false,
  leaseMs: 0,
  now: 1_000_000,
  ...rest,
});
const killed = state(2, { enabled: false });

describe('desired', () => {
  it.each<[string, Circumstances, Desired]>([
    ['an enabled state, confirmed long ago', given(), { adapter: 'v1', why: 'state' }],
    [
      'enabled without an adapter',
      given({ knowledge: knows({ state: state(1, { active_adapter_version: null }) }) }),
      { adapter: null, why: 'state' },
    ],
    ['a kill', given({ knowledge: knows({ state: killed }) }), { adapter: null, why: 'killed' }],
    [
      'a kill from an old snapshot',
      given({ knowledge: knows({ state: killed, origin: 'old-snapshot', confirmedAt: null }) }),
      { adapter: null, why: 'killed' },
    ],
    ['a local kill above a state', given({ localKill: true }), { adapter: null, why: 'local-kill' }],
    [
      'a local kill above nothing',
      given({ localKill: true, knowledge: knows({ state: null }) }),
      { adapter: null, why: 'local-kill' },
    ],
    ['nothing', given({ knowledge: knows({ state: null }) }), { adapter: null, why: 'never-heard' }],
    [
      'an old snapshot',
      given({ knowledge: knows({ origin: 'old-snapshot' }) }),
      { adapter: null, why: 'unconfirmed-snapshot' },
    ],
    [
      'a young snapshot',
      given({ knowledge: knows({ origin: 'recent-snapshot' }) }),
      { adapter: 'v1', why: 'recent-snapshot' },
    ],
    ['a lease that holds', given({ leaseMs: 10_000, now: 11_000 }), { adapter: 'v1', why: 'state' }],
    [
      'a lease that does not',
      given({ leaseMs: 10_000, now: 11_001 }),
      { adapter: null, why: 'lease-expired' },
    ],
    [
      'a lease on a state that nobody knows the age of',
      given({ leaseMs: 10_000, knowledge: knows({ confirmedAt: null }) }),
      { adapter: null, why: 'lease-expired' },
    ],
  ])('%s', (_what, circumstances, wanted) => {
    expect(desired(circumstances)).toEqual(wanted);
  });

  it('is an adapter only without a local kill, of an enabled state that can be trusted, within its lease', () => {
    const circumstances = fc.record({
      localKill: fc.boolean(),
      leaseMs: fc.constantFrom(0, 1, 1000),
      now: fc.integer({ min: 0, max: 5000 }),
      knowledge: fc.record({
        state: fc.constantFrom(null, state(1), state(2, { active_adapter_version: null }), killed),
        origin: fc.constantFrom('live' as const, 'recent-snapshot' as const, 'old-snapshot' as const),
        confirmedAt: fc.option(fc.integer({ min: -1000, max: 5000 })),
        held: fc.constantFrom(null, state(1)),
      }),
    });
    fc.assert(
      fc.property(circumstances, (all) => {
        const { knowledge, localKill, leaseMs, now } = all;
        const { adapter } = desired(all);
        const mayServe =
          !localKill &&
          knowledge.state?.enabled === true &&
          knowledge.origin !== 'old-snapshot' &&
          (leaseMs === 0 || (knowledge.confirmedAt !== null && now - knowledge.confirmedAt <= leaseMs));
        expect(adapter).toBe(mayServe ? (knowledge.state?.active_adapter_version ?? null) : null);
      }),
    );
  });
});

describe('a snapshot at the start', () => {
  it.each<[string, number | null, Knowledge['origin'], number | null]>([
    ['younger than the grace', 940_001, 'recent-snapshot', 5000 - 59_999],
    ['as old as the grace', 940_000, 'old-snapshot', 5000 - 60_000],
    ['of this moment', 1_000_000, 'recent-snapshot', 5000],
    ['from the future', 1_000_001, 'old-snapshot', null],
    ['of no time', null, 'old-snapshot', null],
  ])('%s', (_what, confirmedAt, origin, monotonic) => {
    const snapshot = { state: state(1), confirmedAt };
    expect(knowledgeFrom(snapshot, 60_000, 1_000_000, 5000)).toEqual({
      state: state(1),
      origin,
      confirmedAt: monotonic,
      held: null,
    });
  });

  it('is never young without a grace', () => {
    expect(knowledgeFrom({ state: state(1), confirmedAt: 5 }, 0, 5, 5).origin).toBe('old-snapshot');
  });
});
