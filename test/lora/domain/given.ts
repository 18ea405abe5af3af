import { expect } from '@jest/globals';
import type { LoraCommand } from '../../../src/lora/domain/commands.js';
import { decide, type Meanwhile } from '../../../src/lora/domain/decide.js';
import { Refusal, type RefusalCode } from '../../../src/lora/domain/errors.js';
import type { LoraEvent } from '../../../src/lora/domain/events.js';
import { evolve, type FleetState, initialState } from '../../../src/lora/domain/state.js';
import { type StateView, viewOf } from '../../../src/lora/domain/view.js';

type Version = string | null;
type Recorded = LoraEvent & { readonly actor: string };
type Seen = Partial<Omit<StateView, 'fleet' | 'generation' | 'log_id' | 'updated_at'>> & {
  readonly trail?: readonly string[];
};

export const LOG_ID = '0f3c9a51-7d2e-4b68-9c1f-5a8e2b7d4c60';

const asked = { fleet: 'default', reason: 'manual_operation', reference: null };

// Commands.
export const initialize = (enabled: boolean, adapterVersion: Version): LoraCommand => ({
  ...asked,
  type: 'InitializeFleet',
  enabled,
  adapterVersion,
});
export const disable = (): LoraCommand => ({ ...asked, type: 'DisableLora' });
export const enable = (adapterVersion: Version = null): LoraCommand => ({
  ...asked,
  type: 'EnableLora',
  adapterVersion,
});
export const rollBack = (adapterVersion: Version = null): LoraCommand => ({
  ...asked,
  type: 'RollBackLora',
  adapterVersion,
});
export const deploy = (adapterVersion: string): LoraCommand => ({
  ...asked,
  type: 'DeployAdapter',
  adapterVersion,
});

// Events: the current version before, the one after, then whether LoRA is enabled after it where both can be.
export const initialized = (enabled: boolean, to: Version): LoraEvent => ({
  ...asked,
  type: 'LoraInitialized',
  adapter_version: to,
  from_version: null,
  to_version: to,
  enabled,
});
export const disabled = (current: Version): LoraEvent => ({
  ...asked,
  type: 'LoraDisabled',
  adapter_version: null,
  from_version: current,
  to_version: current,
  enabled: false,
});
export const enabled = (current: Version): LoraEvent => ({
  ...asked,
  type: 'LoraEnabled',
  adapter_version: null,
  from_version: current,
  to_version: current,
  enabled: true,
});
export const enabledWith = (from: Version, to: string): LoraEvent => ({
  ...asked,
  type: 'LoraEnabled',
  adapter_version: to,
  from_version: from,
  to_version: to,
  enabled: true,
});
export const rolledBack = (from: Version, to: Version, enabled = true): LoraEvent => ({
  ...asked,
  type: 'LoraRolledBack',
  adapter_version: null,
  from_version: from,
  to_version: to,
  enabled,
});
export const rolledBackTo = (from: Version, to: string, enabled = true): LoraEvent => ({
  ...asked,
  type: 'LoraRolledBack',
  adapter_version: to,
  from_version: from,
  to_version: to,
  enabled,
});
export const deployed = (from: Version, to: string): LoraEvent => ({
  ...asked,
  type: 'AdapterDeployed',
  adapter_version: to,
  from_version: from,
  to_version: to,
  enabled: true,
});

/** `n1` to `n<count>`, oldest first. */
export const versions = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${i + 1}`);

/** A fleet that deployed {@link versions} one after the other. */
export const deployedInTurn = (count: number): LoraEvent[] =>
  versions(count).map((version, i) => (i === 0 ? initialized(true, version) : deployed(`n${i}`, version)));

const three = [initialized(true, 'v1'), deployed('v1', 'v2'), deployed('v2', 'v3')];

/** The states a command can meet, by the events that led there. */
export const FLEETS = {
  'enabled on the base model': [initialized(true, null)],
  'enabled with one version': [initialized(true, 'v1')],
  'enabled with three versions': three,
  'enabled with a full trail': deployedInTurn(50),
  'enabled and fallen back to the base model': [initialized(true, 'v1'), rolledBack('v1', null)],
  'disabled with nothing to resume': [initialized(false, null)],
  'disabled from the start with one to resume': [initialized(false, 'v1')],
  'disabled with three versions': [...three, disabled('v3')],
  'disabled twice with three versions': [...three, disabled('v3'), disabled('v3')],
  'disabled with a full trail': [...deployedInTurn(50), disabled('n50')],
  'disabled and rolled back to the base model': [
    initialized(true, 'v1'),
    disabled('v1'),
    rolledBack('v1', null, false),
  ],
} as const satisfies Record<string, readonly LoraEvent[]>;

export type FleetName = keyof typeof FLEETS;

export const FLEET_NAMES = Object.keys(FLEETS) as FleetName[];

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}

const recorded = (event: LoraEvent & { readonly actor?: string }): Recorded => ({
  ...event,
  actor: event.actor ?? 'token:ana',
});

/** The state after events; null after none. A history that cannot have happened is a mistake in the test. */
export function stateAfter(history: readonly (LoraEvent & { readonly actor?: string })[]): FleetState | null {
  let state: FleetState | null = initialState;
  let current: Version = null;
  for (const event of history) {
    if (event.from_version !== current) {
      throw new Error(`The history breaks at ${JSON.stringify(event)}: current was ${current ?? 'null'}.`);
    }
    state = deepFreeze(evolve(state, deepFreeze(recorded(event))));
    current = event.to_version;
  }
  return state;
}

function expectState(state: FleetState | null, expected: Seen): void {
  if (state === null) throw new Error('There is no state.');
  const view = viewOf(LOG_ID, {
    fleet: 'default',
    generation: 1,
    recordedAt: '2026-03-01T02:14:07.123456Z',
    state,
  });
  expect({ ...view, trail: state.trail }).toMatchObject(expected);
}

/** `given([events]).when(command).then([events])`; every input is frozen. */
export function given(history: readonly (LoraEvent & { readonly actor?: string })[]) {
  const state = stateAfter(history);
  return {
    thenState: (expected: Seen) => {
      expectState(state, expected);
    },
    when: (command: LoraCommand, meanwhile: Meanwhile | null = null) => {
      const decision = () => decide(deepFreeze(command), state, deepFreeze(meanwhile));
      return {
        then: (expected: readonly LoraEvent[]) => {
          const event = decision();
          expect(event === null ? [] : [event]).toStrictEqual(expected);
        },
        thenState: (expected: Seen) => {
          const event = decision();
          expectState(event === null ? state : evolve(state, deepFreeze(recorded(event))), expected);
        },
        thenRefused: (code: RefusalCode, says: { detail?: string | RegExp; notice?: string } = {}) => {
          const refusal = refusalOf(decision);
          expect(refusal.code).toBe(code);
          expect(refusal.state).toBe(state);
          if (typeof says.detail === 'string') expect(refusal.message).toBe(says.detail);
          else if (says.detail) expect(refusal.message).toMatch(says.detail);
          if (says.notice !== undefined) expect(refusal.notice).toBe(says.notice);
        },
      };
    },
  };
}

function refusalOf(decision: () => LoraEvent | null): Refusal {
  try {
    const event = decision();
    throw new Error(`Not refused, but ${JSON.stringify(event)}.`);
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}
