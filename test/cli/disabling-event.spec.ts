import { expect, it } from '@jest/globals';

import { disablingEvent } from '../../src/cli/disabling-event.js';

const events = (...enabled: boolean[]) => enabled.map((each, index) => ({ enabled: each, index }));

it.each([
  ['a kill', events(false, true, true), true, 0],
  ['a kill, repeated, and a rollback after it', events(false, false, false, true, false), true, 2],
  ['a fleet that was made disabled', events(false, false), true, 1],
  ['one that lies further back', events(false, false), false, undefined],
  ['an enabled fleet', events(true, false), true, undefined],
  ['no events', events(), true, undefined],
])('%s', (_, found, complete, index) => {
  expect(disablingEvent(found, complete)?.index).toBe(index);
});
