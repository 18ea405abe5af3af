import { expect, it } from '@jest/globals';

import type { HistoryEvent } from '../../src/cli/answers.js';
import { eventLines, historyLines } from '../../src/cli/history-words.js';

const event: HistoryEvent = {
  ...{ position: 7, recorded_at: '2026-11-24T02:14:07.000005Z', schema_version: 1, id: 'x', leaf_hash: 'ff' },
  ...{ type: 'LoraDisabled', fleet: 'default', enabled: false, reason: 'drift', reference: 'INC-1' },
  ...{ adapter_version: null, from_version: 'v1', to_version: 'v1', auth: 'oidc', source: null },
  ...{
    actor: 'oidc:https://issuer.example/u-17',
    remote_address: null,
    request_id: 'r',
    idempotency_key: 'k',
  },
};
const now = new Date('2026-11-24T02:15:07Z');

it('shows beside the actor how its issuer calls it, and never in its place', () => {
  const [, plain = ''] = historyLines([event], now);
  expect(plain).toMatch(/ oidc:https:\/\/issuer\.example\/u-17 +drift \(INC-1\)$/);
  const named = { ...event, actor_name: 'Ana\u001b[2J' };
  const [, line = ''] = historyLines([named], now);
  expect(line).toContain('oidc:https://issuer.example/u-17 (Ana');
  expect(line).not.toContain('\u001b');
  expect(eventLines(named, now).join('\n')).toMatch(/^actor_name +Ana/m);
});
