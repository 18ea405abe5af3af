import { describe, expect, it } from '@jest/globals';

import type { Flip, Happened } from '../../src/event-store/audit-rows.js';
import { summarise } from '../../src/history/summary.js';

const at = (seconds: number): string => `2026-11-25T02:00:${String(seconds).padStart(2, '0')}.000000Z`;

function flip(position: number, seconds: number, enabled: boolean, more: Partial<Flip> = {}): Flip {
  return {
    position,
    recorded_at: at(seconds),
    fleet: 'a',
    type: enabled ? 'LoraEnabled' : 'LoraDisabled',
    enabled,
    actor: 'ana',
    reason: 'bad',
    reference: null,
    enabled_again_at: null,
    acknowledged_at: null,
    ...more,
  };
}

function summary(flips: readonly Flip[], more: Partial<Happened> = {}, since: string | null = null) {
  const part = { since, until: at(50), fleet: null, fleets: null };
  return summarise(part, { now: at(40), counts: [], disabled_before: [], flips, ...more });
}

describe('a summary', () => {
  it('counts by type, fleet and actor', () => {
    const none = { type: null, fleet: null, actor: null };
    const counts = [
      { ...none, type: 'LoraEnabled', events: 2 },
      { ...none, type: 'LoraDisabled', events: 3 },
      { ...none, fleet: 'a', events: 5 },
      { ...none, actor: 'ana', events: 5 },
    ];
    expect(summary([], { counts })).toMatchObject({
      events: 5,
      by_type: { LoraDisabled: 3, LoraEnabled: 2 },
      by_fleet: { a: 5 },
      by_actor: { ana: 5 },
    });
  });

  it.each([
    ['from a kill to its end', [flip(1, 10, false), flip(2, 15, true)], {}, { a: 5 }],
    ['to now when it has not ended', [flip(1, 10, false)], {}, { a: 30 }],
    ['from the beginning when it began before', [flip(2, 15, true)], { disabled_before: ['a'] }, { a: 15 }],
    ['for all of it', [], { disabled_before: ['a'] }, { a: 40 }],
    [
      'of each fleet apart, and of several kills together',
      [
        flip(1, 10, false),
        flip(2, 11, false, { fleet: 'b' }),
        flip(3, 12, true),
        flip(4, 20, false),
        flip(5, 21, true),
        flip(6, 31, true, { fleet: 'b' }),
      ],
      {},
      { a: 3, b: 20 },
    ],
    ['of a fleet that was made disabled', [flip(1, 30, false, { type: 'LoraInitialized' })], {}, { a: 10 }],
  ] as const)('says how long a fleet was disabled: %s', (_, flips, more, disabled) => {
    expect(summary(flips, more, at(0)).disabled_seconds).toEqual(disabled);
  });

  it('names every kill, how long it lasted, and when the engines had let go', () => {
    const killed = flip(1, 10, false, {
      enabled_again_at: at(30),
      acknowledged_at: at(12),
      reference: 'INC-1',
    });
    expect(summary([killed, flip(2, 30, true), flip(3, 35, false)]).kills).toEqual([
      {
        position: 1,
        recorded_at: at(10),
        fleet: 'a',
        actor: 'ana',
        reason: 'bad',
        reference: 'INC-1',
        enabled_again_at: at(30),
        disabled_seconds: 20,
        acknowledged_seconds: 2,
      },
      expect.objectContaining({ position: 3, disabled_seconds: null, acknowledged_seconds: null }) as unknown,
    ]);
  });
});
