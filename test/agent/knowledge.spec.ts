import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { desired } from '../../src/agent/desired.js';
import type { FleetState } from '../../src/agent/fleet-state.js';
import { confirm, type Knowledge, learn, NOTHING_KNOWN, type Verdict } from '../../src/agent/knowledge.js';
import { OTHER_LOG, state } from './fake-control-plane.js';

const killed = (generation: number, rest: Partial<FleetState> = {}) =>
  state(generation, { enabled: false, ...rest });
const known = (of: FleetState | null): Knowledge =>
  of === null ? NOTHING_KNOWN : { state: of, origin: 'live', confirmedAt: 0, held: null };
const other = { log_id: OTHER_LOG };
const initialized = { last_operation: 'initialized' };

type Row = [what: string, known: FleetState | null, received: FleetState, stale: boolean, verdict: Verdict];

describe('learn', () => {
  it.each<Row>([
    ['the first state', null, state(3), false, 'new'],
    ['the first state, as the log was made', null, state(1, initialized), false, 'new'],
    ['the first state from a source that is stale', null, state(3), true, 'unconfirmed'],
    ['a kill as the first, from a source that is stale', null, killed(3), true, 'new'],
    ['a newer generation', state(3), state(4), false, 'new'],
    ['the same generation', state(3), state(3), false, 'confirmed'],
    ['the same generation from a source that is stale', state(3), state(3), true, 'unconfirmed'],
    ['an older generation', killed(5), state(4), false, 'older'],
    ['an older kill', state(5), killed(4), false, 'older'],
    ['an older kill from a source that is stale', state(5), killed(4), true, 'older'],
    ['a kill from a source that is stale', state(3), killed(4), true, 'new'],
    ['an enable from a source that is stale', killed(3), state(4), true, 'unconfirmed'],
    [
      'another log, enabled by an operator, with a lower generation',
      killed(9),
      state(2, other),
      false,
      'new',
    ],
    ['another log as it was made', killed(9), state(1, { ...other, ...initialized }), false, 'held'],
    [
      'another log as it was made, with nothing killed',
      state(9),
      state(1, { ...other, ...initialized }),
      false,
      'held',
    ],
    ['a kill of another log', state(9), killed(1, { ...other, ...initialized }), false, 'new'],
    ['a kill of another log, stale', state(9), killed(1, other), true, 'new'],
    ['a kill under the same generation', state(3), killed(3), false, 'new'],
    ['an enable under the same generation', killed(3), state(3), false, 'older'],
  ])('%s', (_what, before, received, stale, verdict) => {
    const lesson = learn(known(before), received, stale, 7);
    expect(lesson.verdict).toBe(verdict);
    expect(lesson.knowledge).toEqual(
      {
        new: { ...known(received), confirmedAt: stale ? known(before).confirmedAt : 7 },
        confirmed: { ...known(before), confirmedAt: 7 },
        held: { ...known(before), held: received },
        older: known(before),
        unconfirmed: known(before),
      }[verdict],
    );
  });

  it('lets an operator of the new log speak, and forgets what was held then', () => {
    const held = learn(known(killed(9)), state(1, { ...other, ...initialized }), false, 1).knowledge;
    expect(learn(held, state(2, { ...other, last_operation: 'enabled' }), false, 2).knowledge).toEqual({
      ...known(state(2, { ...other, last_operation: 'enabled' })),
      confirmedAt: 2,
    });
  });

  it('makes a snapshot live by a confirmation', () => {
    const old: Knowledge = { ...known(state(3)), origin: 'old-snapshot', confirmedAt: null };
    expect(confirm(old, 5)).toEqual({ ...known(state(3)), confirmedAt: 5 });
    expect(learn(old, state(3), true, 5).knowledge).toBe(old);
    expect(confirm(NOTHING_KNOWN, 5)).toBe(NOTHING_KNOWN);
  });
});

const states: fc.Arbitrary<FleetState> = fc
  .record({
    log: fc.constantFrom('a', 'b', 'c'),
    generation: fc.integer({ min: 1, max: 6 }),
    enabled: fc.boolean(),
    adapter: fc.constantFrom('v1', 'v2', null),
    last_operation: fc.constantFrom('initialized', 'enabled', 'deployed', 'rollback'),
  })
  .map(({ log, adapter, ...rest }) =>
    state(rest.generation, { ...rest, log_id: log, active_adapter_version: rest.enabled ? adapter : null }),
  );
const news = fc.array(fc.record({ received: states, stale: fc.boolean() }), { maxLength: 12 });

describe('whatever comes, in whatever order', () => {
  const serves = (knowledge: Knowledge) =>
    desired({ knowledge, localKill: false, leaseMs: 0, now: 0 }).adapter;

  it('lifts no kill but by a newer generation of its log, or an operator of another log', () => {
    fc.assert(
      fc.property(news, (all) => {
        let now = NOTHING_KNOWN;
        for (const { received, stale } of all) {
          const before = now;
          now = learn(now, received, stale, 0).knowledge;
          if (before.state?.enabled !== false || now.state?.enabled !== true) continue;
          const sameLog = before.state.log_id === now.state.log_id;
          expect(stale).toBe(false);
          expect(sameLog ? now.state.generation > before.state.generation : received.last_operation).not.toBe(
            sameLog ? false : 'initialized',
          );
        }
      }),
    );
  });

  it('never goes back within a log', () => {
    fc.assert(
      fc.property(news, (all) => {
        let now = NOTHING_KNOWN;
        for (const { received, stale } of all) {
          const before = now.state;
          now = learn(now, received, stale, 0).knowledge;
          if (before?.log_id === now.state?.log_id)
            expect(now.state?.generation ?? 0).toBeGreaterThanOrEqual(before?.generation ?? 0);
        }
      }),
    );
  });

  it('obeys a kill at once, unless the same log has moved on', () => {
    fc.assert(
      fc.property(news, states, fc.boolean(), (all, last, stale) => {
        const now = all.reduce(
          (each, { received, stale }) => learn(each, received, stale, 0).knowledge,
          NOTHING_KNOWN,
        );
        const kill = { ...last, enabled: false, active_adapter_version: null };
        const { knowledge, verdict } = learn(now, kill, stale, 0);
        const movedOn = now.state?.log_id === kill.log_id && now.state.generation > kill.generation;
        if (movedOn) expect(verdict).toBe('older');
        else expect(serves(knowledge)).toBeNull();
      }),
    );
  });

  it('serves only a version that a state of an operator, or the first, has named', () => {
    fc.assert(
      fc.property(news, (all) => {
        let now = NOTHING_KNOWN;
        const named = new Set<string | null>([null]);
        for (const { received, stale } of all) {
          if (!stale && received.enabled) named.add(received.active_adapter_version);
          now = learn(now, received, stale, 0).knowledge;
          expect(named).toContain(serves(now));
        }
      }),
    );
  });
});
