import { describe, expect, it } from '@jest/globals';

import type { Convergence, Status } from '../../src/cli/answers.js';
import { arrivalWords, missingWords } from '../../src/cli/arrival-words.js';
import { inColour, plain } from '../../src/cli/colour.js';
import { type Shown, statusLines } from '../../src/cli/status-words.js';

const NOW = new Date('2026-11-25T02:17:30Z');

const DISABLED: Status = {
  fleet: 'default',
  generation: 14,
  log_id: '3eef72ce-dade-4b6e-93c5-70e658dd62c7',
  enabled: false,
  active_adapter_version: null,
  previous_adapter_version: 'v1.3',
  resume_adapter_version: 'v1.3',
  rollback_target: 'v1.1',
  last_operation: 'disabled',
  last_reason: 'regression_detected',
  last_actor: 'token:ana',
  updated_at: '2026-11-25T02:14:07.123456Z',
  rollback_history: [],
  activation_history: [],
};
const ENABLED: Status = {
  ...DISABLED,
  enabled: true,
  active_adapter_version: 'v1.3',
  resume_adapter_version: null,
  last_operation: 'deployed',
  last_reason: 'manual_deploy',
};
const NONE = { pending: 0, lost: 0, advisory: 0, unreachable: 0, unsupported: 0 };
const ARRIVED: Convergence = {
  fleet: 'default',
  generation: 14,
  log_id: DISABLED.log_id,
  converged: true,
  engines: 8,
  acknowledged: 8,
  pending: [],
  lost: [],
  advisory: [],
  unreachable: [],
  unsupported: [],
  counts: NONE,
  converged_at: '2026-11-25T02:14:08Z',
};
const SEVEN: Convergence = {
  ...ARRIVED,
  converged: false,
  acknowledged: 7,
  lost: ['e-8'],
  counts: { ...NONE, lost: 1 },
};
const BY_ANA = {
  recorded_at: DISABLED.updated_at,
  actor: DISABLED.last_actor,
  reason: DISABLED.last_reason,
};

const lines = (shown: Partial<Shown>): string[] =>
  statusLines(
    { state: DISABLED, convergence: SEVEN, disabledBy: BY_ANA, at: undefined, ...shown },
    NOW,
    plain,
  );

describe('a status in words', () => {
  it('answers first what counts', () => {
    expect(lines({})).toEqual([
      'DISABLED since 02:14 (3 min) by token:ana: regression_detected · 7 of 8 engines have let go · rollback now → v1.1',
      'fleet    default, generation 14 of log 3eef72ce',
      'serves   base model; enable brings v1.3',
      'since    02:14:07Z (3 min ago)',
      'missing  lost: e-8',
    ]);
  });

  it('says what is active while enabled', () => {
    const [first, , serves] = lines({ state: ENABLED, convergence: ARRIVED, disabledBy: undefined });
    expect(first).toBe(
      'ENABLED · v1.3 deployed 02:14 (3 min) by token:ana: manual_deploy · all 8 engines follow · rollback now → v1.1',
    );
    expect(serves).toBe('serves  v1.3');
  });

  it('keeps who disabled it apart from who came after', () => {
    const rollback = {
      timestamp: '2026-11-25T02:16:10.5Z',
      from_version: 'v1.3',
      to_version: null,
      enabled: false,
      reason: 'not yet',
      actor: 'token:bob',
      generation: 15,
    };
    const state: Status = {
      ...DISABLED,
      generation: 15,
      resume_adapter_version: null,
      rollback_target: null,
      last_operation: 'rollback',
      last_actor: 'token:bob',
      last_reason: 'not yet',
      updated_at: rollback.timestamp,
      rollback_history: [rollback],
    };
    expect(lines({ state, convergence: null })).toEqual([
      'DISABLED since 02:14 (3 min) by token:ana: regression_detected · engines cannot be asked · rollback now → base model',
      'fleet   default, generation 15 of log 3eef72ce',
      'serves  base model; enable brings base model',
      'since   02:14:07Z (3 min ago)',
      'last    rolled back v1.3 → base model 02:16:10Z (1 min ago) by token:bob: not yet',
    ]);
    // Who disabled it cannot be asked: then it is not said, rather than wrongly.
    expect(lines({ state, convergence: null, disabledBy: undefined })[0]).toBe(
      'DISABLED · engines cannot be asked · rollback now → base model',
    );
  });

  it('says loudly, and first, that it is stale', () => {
    const state: Status = { ...DISABLED, stale: true, as_of: '2026-11-25T02:15:00Z' };
    expect(lines({ state, convergence: null }).slice(0, 2)).toEqual([
      'STALE since 02:15:00Z (2 min ago): the log cannot be asked. This is what was last known:',
      'DISABLED since 02:14 (3 min) by token:ana: regression_detected · rollback now → v1.1',
    ]);
  });

  it('says of which time it speaks', () => {
    const at = '2026-11-25T02:15:00Z';
    expect(lines({ state: { ...DISABLED, final: true }, at })[0]).toBe(`As of ${at}:`);
    expect(lines({ state: { ...DISABLED, final: false }, at })[0]).toBe(
      `As of ${at} (not final: nothing has been recorded since):`,
    );
  });

  it('has colours for eyes', () => {
    const [first] = statusLines(
      { state: DISABLED, convergence: null, disabledBy: undefined, at: undefined },
      NOW,
      inColour,
    );
    expect(first?.startsWith('\u001b[1;31mDISABLED\u001b[0m · ')).toBe(true);
  });
});

describe('the arrival on engines in words', () => {
  it.each([
    [null, false, 'engines cannot be asked'],
    [{ ...ARRIVED, engines: 0, acknowledged: 0, converged: null }, false, 'no engine registered'],
    [ARRIVED, false, 'all 8 engines have let go'],
    [ARRIVED, true, 'all 8 engines follow'],
    [{ ...ARRIVED, engines: 1, acknowledged: 1 }, false, 'the one engine has let go'],
    [SEVEN, false, '7 of 8 engines have let go'],
    [{ ...SEVEN, converged: null }, false, '7 of 8 engines have let go (not all heard of yet)'],
    [{ ...SEVEN, superseded_by: 20 }, false, 'overtaken by generation 20'],
  ] as const)('%#: %j', (convergence, enabled, words) => {
    expect(arrivalWords(convergence, enabled)).toBe(words);
  });

  it('names who is missing, and how many more', () => {
    expect(missingWords(ARRIVED)).toBe('');
    const many = { ...SEVEN, pending: ['e-1', 'e-2'], counts: { ...NONE, lost: 1, pending: 150 } };
    expect(missingWords(many)).toBe('pending: e-1, e-2 and 148 more · lost: e-8');
  });
});
