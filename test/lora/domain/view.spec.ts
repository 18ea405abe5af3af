import { describe, expect, it } from '@jest/globals';
import { tagMatches, tagOf, viewOf } from '../../../src/lora/domain/view.js';
import { type FleetName, FLEETS, given, LOG_ID, stateAfter } from './given.js';

type Version = string | null;

describe('the view', () => {
  it('has the fields of the contract, and no other', () => {
    const state = stateAfter(FLEETS['disabled with three versions']);
    if (state === null) throw new Error('The fleet exists.');
    expect(
      viewOf(LOG_ID, { fleet: 'canary', generation: 42, recordedAt: '2026-03-01T02:14:07.123456Z', state }),
    ).toStrictEqual({
      fleet: 'canary',
      generation: 42,
      log_id: LOG_ID,
      enabled: false,
      active_adapter_version: null,
      previous_adapter_version: 'v3',
      resume_adapter_version: 'v3',
      rollback_target: 'v2',
      last_operation: 'disabled',
      last_reason: 'manual_operation',
      last_actor: 'token:ana',
      updated_at: '2026-03-01T02:14:07.123456Z',
    });
  });

  it.each<[FleetName, boolean, Version, Version, Version]>([
    ['enabled on the base model', true, null, null, null],
    ['enabled with one version', true, 'v1', null, null],
    ['enabled with three versions', true, 'v3', null, 'v2'],
    ['enabled with a full trail', true, 'n50', null, 'n49'],
    ['enabled and fallen back to the base model', true, null, null, null],
    ['disabled with nothing to resume', false, null, null, null],
    ['disabled from the start with one to resume', false, null, 'v1', null],
    ['disabled with three versions', false, null, 'v3', 'v2'],
    ['disabled twice with three versions', false, null, 'v3', 'v2'],
    ['disabled with a full trail', false, null, 'n50', 'n49'],
    ['disabled and rolled back to the base model', false, null, null, null],
  ])(
    'of a fleet that is %s: enabled %s, active %s, resume %s, target %s',
    (fleet, on, active, resume, target) => {
      given(FLEETS[fleet]).thenState({
        enabled: on,
        active_adapter_version: active,
        resume_adapter_version: resume,
        rollback_target: target,
      });
    },
  );
});

describe('a tag', () => {
  it('is the beginning of the log id and the generation', () => {
    expect(tagOf(LOG_ID, 7)).toBe('0f3c9a51-7');
    expect(tagOf(LOG_ID, 123456789)).toBe('0f3c9a51-123456789');
  });

  const tag = tagOf(LOG_ID, 42);

  it.each([
    ['quoted', '"0f3c9a51-42"'],
    ['not quoted', '0f3c9a51-42'],
    ['weak', 'W/"0f3c9a51-42"'],
    ['among others', '"0f3c9a51-40", "0f3c9a51-42" ,"0f3c9a51-41"'],
    ['weak among others', 'W/"0f3c9a51-40",W/"0f3c9a51-42"'],
    ['with space around it', '  "0f3c9a51-42"  '],
    ['the star', '*'],
  ])('matches %s', (_, header) => {
    expect(tagMatches(header, tag, false)).toBe(true);
    expect(tagMatches(header, tag, true)).toBe(true);
  });

  it.each([
    ['of another generation', '"0f3c9a51-41"'],
    ['of a longer generation', '"0f3c9a51-420"'],
    ['of a shorter generation', '"0f3c9a51-4"'],
    ['of another log', '"ffffffff-42"'],
    ['of another log, weak', 'W/"ffffffff-42"'],
    ['with the whole log id', `"${LOG_ID}-42"`],
    ['with the log id alone', '"0f3c9a51"'],
    ['with half a quote', '"0f3c9a51-42'],
    ['of nothing', ''],
    ['of an empty list', ','],
    ['in a list without it', '"0f3c9a51-41", "ffffffff-42"'],
    ['of another bare generation', '41'],
  ])('does not match one %s', (_, header) => {
    expect(tagMatches(header, tag, false)).toBe(false);
    expect(tagMatches(header, tag, true)).toBe(false);
  });

  it.each(['42', '"42"', ' 42 ', '41, 42'])(
    'matches the bare generation only where that is taken: %s',
    (header) => {
      expect(tagMatches(header, tag, true)).toBe(true);
      expect(tagMatches(header, tag, false)).toBe(false);
    },
  );
});
