import { expect, it } from '@jest/globals';

import { summaryOf } from '../../src/history/summary.js';

it('a summary counts by type, fleet and actor', () => {
  const none = { type: null, fleet: null, actor: null };
  const counts = [
    { ...none, type: 'LoraEnabled', events: 2 },
    { ...none, type: 'LoraDisabled', events: 3 },
    { ...none, fleet: 'a', events: 5 },
    { ...none, actor: 'ana', events: 5 },
  ];
  const part = { since: null, until: null, fleet: null, fleets: null };
  expect(summaryOf(part, { counts, disabled: [{ fleet: 'a', seconds: 1.5 }], kills: [] })).toEqual({
    since: null,
    until: null,
    fleet: null,
    events: 5,
    by_type: { LoraDisabled: 3, LoraEnabled: 2 },
    by_fleet: { a: 5 },
    by_actor: { ana: 5 },
    disabled_seconds: { a: 1.5 },
  });
});
