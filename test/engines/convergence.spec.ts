import { describe, expect, it } from '@jest/globals';

import { convergenceOf, type EngineStanding, type Standings } from '../../src/engines/convergence.js';

const SEEN = '2026-11-25T02:14:07.000001Z';
const LATER = '2026-11-25T02:14:09.000001Z';

const engine = (id: string, more: Partial<EngineStanding> = {}): EngineStanding => ({
  engine: id,
  state: 'converged',
  lost: false,
  acknowledged_at: SEEN,
  ...more,
});
const behind = (id: string, more: Partial<EngineStanding> = {}): EngineStanding =>
  engine(id, { state: 'pending', acknowledged_at: null, ...more });

function of(engines: readonly EngineStanding[], more: Partial<Standings> = {}) {
  return convergenceOf('default', {
    generation: 7,
    log_id: 'l',
    is_kill: true,
    current: 7,
    young: false,
    engines,
    ...more,
  });
}

describe('convergence', () => {
  it('is true when every engine has been seen to match, and says since when', () => {
    expect(of([engine('a'), engine('b', { acknowledged_at: LATER })])).toMatchObject({
      converged: true,
      engines: 2,
      acknowledged: 2,
      converged_at: LATER,
      pending: [],
    });
  });

  it.each([
    ['pending', behind('b')],
    ['pending', behind('b', { state: 'conflict' })],
    ['lost', engine('b', { lost: true })],
    ['lost', engine('b', { state: null, acknowledged_at: null })],
    // What an agent says of itself is not enough, whatever it claims to have seen.
    ['advisory', engine('b', { state: 'advisory' })],
    ['unreachable', engine('b', { state: 'unreachable' })],
    ['unsupported', engine('b', { state: 'unsupported' })],
    // It says converged; the service does not find it so.
    ['pending', engine('b', { acknowledged_at: null })],
  ] as const)('is false with one %s', (list, other) => {
    expect(of([engine('a'), other])).toMatchObject({
      converged: false,
      acknowledged: 1,
      [list]: ['b'],
      counts: { [list]: 1 },
      converged_at: null,
    });
  });

  it('is null without an engine', () => {
    expect(of([])).toMatchObject({ converged: null, engines: 0 });
  });

  it('is null while engines may just not have reported yet after presence was lost', () => {
    const silent = engine('b', { state: null, acknowledged_at: null });
    expect(of([engine('a'), silent], { young: true })).toMatchObject({ converged: null, pending: ['b'] });
    expect(of([engine('a'), behind('b')], { young: true })).toMatchObject({ converged: false });
    expect(of([engine('a'), engine('b')], { young: true })).toMatchObject({ converged: true });
  });

  it('of a kill that was overtaken rests on the acknowledgements', () => {
    const overtaken = { current: 9 };
    // How the engine stands now says nothing of then.
    expect(of([engine('a', { lost: true }), engine('b', { state: 'advisory' })], overtaken)).toMatchObject({
      converged: true,
      superseded_by: 9,
    });
    expect(of([engine('a'), behind('b')], overtaken)).toMatchObject({
      converged: false,
      superseded_by: 9,
      pending: ['b'],
    });
  });

  it('of another command that was overtaken cannot be told', () => {
    expect(of([engine('a')], { current: 9, is_kill: false })).toMatchObject({
      converged: null,
      superseded_by: 9,
    });
  });

  it('bounds its lists, not its counts', () => {
    const many = Array.from({ length: 250 }, (_, nth) => behind(`e${nth}`));
    const { pending, counts, engines } = of(many);
    expect([pending.length, counts.pending, engines]).toEqual([100, 250, 250]);
  });
});
