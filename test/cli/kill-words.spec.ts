import { describe, expect, it } from '@jest/globals';

import type { KilledFleets } from '../../src/cli/answers.js';
import { plain } from '../../src/cli/colour.js';
import { killedLines } from '../../src/cli/kill-words.js';

const state: KilledFleets['fleets'][number] = {
  fleet: 'blue',
  generation: 7,
  log_id: '00000000-0000-4000-8000-000000000000',
  enabled: false,
  active_adapter_version: null,
  previous_adapter_version: 'v1',
  resume_adapter_version: 'v1',
  rollback_target: null,
  last_operation: 'disabled',
  last_reason: 'safety',
  last_actor: 'token:op',
  updated_at: '2026-11-24T02:14:07.000000Z',
};

describe('what a kill did', () => {
  const lines = (partial: boolean) =>
    killedLines(
      { fleets: [state], convergences: undefined, partial, notice: undefined },
      new Date('2026-11-24T02:14:08Z'),
      plain,
    );

  it('to the one fleet there is', () => {
    expect(lines(false)).toEqual([
      'DISABLED since 02:14 (1 s) by token:op: safety · base model; enable brings v1',
    ]);
  });

  it('to one of several, where the caller may not kill them all: it does not look like all', () => {
    expect(lines(true)).toEqual([
      'DISABLED: 1 fleet that you may act on (not all there are)',
      'FLEET  GENERATION  SERVES',
      'blue   7           base model; enable brings v1',
    ]);
  });
});
