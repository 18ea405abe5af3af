import { describe, expect, it } from '@jest/globals';
import type { LoraEvent } from '../../../src/lora/domain/events.js';
import { evolve, initialState } from '../../../src/lora/domain/state.js';
import {
  deployed,
  deployedInTurn,
  disabled,
  enabled,
  enabledWith,
  FLEET_NAMES,
  type FleetName,
  FLEETS,
  given,
  initialized,
  rolledBack,
  rolledBackTo,
  versions,
} from './given.js';

type Row = [fleet: FleetName, event: LoraEvent, trail: readonly string[]];

/** What each of the fleets can walk back through. */
const TRAIL: Record<FleetName, readonly string[]> = {
  'enabled on the base model': [],
  'enabled with one version': ['v1'],
  'enabled with three versions': ['v1', 'v2', 'v3'],
  'enabled with a full trail': versions(50),
  'enabled and fallen back to the base model': [],
  'disabled with nothing to resume': [],
  'disabled from the start with one to resume': ['v1'],
  'disabled with three versions': ['v1', 'v2', 'v3'],
  'disabled twice with three versions': ['v1', 'v2', 'v3'],
  'disabled with a full trail': versions(50),
  'disabled and rolled back to the base model': [],
};

const cases = (...rows: Row[]) => rows.map(([fleet, event, trail]) => ({ fleet, event, trail }));

const follows = ({
  fleet,
  event,
  trail,
}: {
  fleet: FleetName;
  event: LoraEvent;
  trail: readonly string[];
}) => {
  given([...FLEETS[fleet], event]).thenState({
    trail,
    enabled: event.enabled,
    [event.enabled ? 'active_adapter_version' : 'resume_adapter_version']: trail.at(-1) ?? null,
    [event.enabled ? 'resume_adapter_version' : 'active_adapter_version']: null,
    rollback_target: trail.at(-2) ?? null,
  });
};

describe('the trail', () => {
  it('begins empty, or with the version the fleet was made with', () => {
    given([initialized(true, null)]).thenState({ trail: [] });
    given([initialized(true, 'v1')]).thenState({ trail: ['v1'] });
    given([initialized(false, null)]).thenState({ trail: [] });
    given([initialized(false, 'v1')]).thenState({ trail: ['v1'] });
  });

  it.each(
    cases(
      ['enabled with one version', deployed('v1', 'v1'), ['v1']],
      ['enabled with one version', enabledWith('v1', 'v1'), ['v1']],
      ['enabled with one version', rolledBackTo('v1', 'v1'), ['v1']],
      ['enabled with three versions', deployed('v3', 'v3'), ['v1', 'v2', 'v3']],
      ['enabled with three versions', enabledWith('v3', 'v3'), ['v1', 'v2', 'v3']],
      ['enabled with three versions', rolledBackTo('v3', 'v3'), ['v1', 'v2', 'v3']],
      ['enabled with a full trail', deployed('n50', 'n50'), versions(50)],
      ['enabled with a full trail', enabledWith('n50', 'n50'), versions(50)],
      ['enabled with a full trail', rolledBackTo('n50', 'n50'), versions(50)],
      ['disabled from the start with one to resume', enabledWith('v1', 'v1'), ['v1']],
      ['disabled from the start with one to resume', rolledBackTo('v1', 'v1', false), ['v1']],
      ['disabled with three versions', enabledWith('v3', 'v3'), ['v1', 'v2', 'v3']],
      ['disabled with three versions', rolledBackTo('v3', 'v3', false), ['v1', 'v2', 'v3']],
      ['disabled with a full trail', enabledWith('n50', 'n50'), versions(50)],
      ['disabled with a full trail', rolledBackTo('n50', 'n50', false), versions(50)],
    ),
  )('stays when the version given is current: $fleet, $event.type $event.adapter_version', follows);

  it.each(
    cases(
      ['enabled with three versions', deployed('v3', 'v2'), ['v1', 'v2']],
      ['enabled with three versions', deployed('v3', 'v1'), ['v1']],
      ['enabled with three versions', enabledWith('v3', 'v2'), ['v1', 'v2']],
      ['enabled with three versions', enabledWith('v3', 'v1'), ['v1']],
      ['enabled with three versions', rolledBackTo('v3', 'v2'), ['v1', 'v2']],
      ['enabled with three versions', rolledBackTo('v3', 'v1'), ['v1']],
      ['enabled with a full trail', deployed('n50', 'n25'), versions(25)],
      ['enabled with a full trail', enabledWith('n50', 'n49'), versions(49)],
      ['enabled with a full trail', rolledBackTo('n50', 'n1'), versions(1)],
      ['disabled with three versions', enabledWith('v3', 'v2'), ['v1', 'v2']],
      ['disabled with three versions', enabledWith('v3', 'v1'), ['v1']],
      ['disabled with three versions', rolledBackTo('v3', 'v2', false), ['v1', 'v2']],
      ['disabled with three versions', rolledBackTo('v3', 'v1', false), ['v1']],
      ['disabled twice with three versions', rolledBackTo('v3', 'v1', false), ['v1']],
      ['disabled with a full trail', enabledWith('n50', 'n25'), versions(25)],
      ['disabled with a full trail', rolledBackTo('n50', 'n1', false), versions(1)],
    ),
  )(
    'loses everything after the version that is gone back to: $fleet, $event.type $event.adapter_version',
    follows,
  );

  it.each(
    cases(
      ['enabled on the base model', deployed(null, 'v9'), ['v9']],
      ['enabled on the base model', enabledWith(null, 'v9'), ['v9']],
      ['enabled with one version', deployed('v1', 'v9'), ['v1', 'v9']],
      ['enabled with one version', enabledWith('v1', 'v9'), ['v1', 'v9']],
      ['enabled with three versions', deployed('v3', 'v9'), ['v1', 'v2', 'v3', 'v9']],
      ['enabled with three versions', enabledWith('v3', 'v9'), ['v1', 'v2', 'v3', 'v9']],
      ['enabled with a full trail', deployed('n50', 'v9'), [...versions(50).slice(1), 'v9']],
      ['enabled with a full trail', enabledWith('n50', 'v9'), [...versions(50).slice(1), 'v9']],
      ['enabled and fallen back to the base model', deployed(null, 'v9'), ['v9']],
      ['enabled and fallen back to the base model', deployed(null, 'v1'), ['v1']],
      ['enabled and fallen back to the base model', enabledWith(null, 'v1'), ['v1']],
    ),
  )(
    'takes a new version by deploy, or by enable while enabled, at its end: $fleet, $event.type $event.adapter_version',
    follows,
  );

  it.each(
    cases(
      ['enabled on the base model', rolledBackTo(null, 'v9'), ['v9']],
      ['enabled with one version', rolledBackTo('v1', 'v9'), ['v9']],
      ['enabled with three versions', rolledBackTo('v3', 'v9'), ['v1', 'v2', 'v9']],
      ['enabled with a full trail', rolledBackTo('n50', 'v9'), [...versions(49), 'v9']],
      ['enabled and fallen back to the base model', rolledBackTo(null, 'v1'), ['v1']],
      ['disabled with nothing to resume', rolledBackTo(null, 'v9', false), ['v9']],
      ['disabled with nothing to resume', enabledWith(null, 'v9'), ['v9']],
      ['disabled from the start with one to resume', rolledBackTo('v1', 'v9', false), ['v9']],
      ['disabled from the start with one to resume', enabledWith('v1', 'v9'), ['v9']],
      ['disabled with three versions', rolledBackTo('v3', 'v9', false), ['v1', 'v2', 'v9']],
      ['disabled with three versions', enabledWith('v3', 'v9'), ['v1', 'v2', 'v9']],
      ['disabled twice with three versions', enabledWith('v3', 'v9'), ['v1', 'v2', 'v9']],
      ['disabled with a full trail', rolledBackTo('n50', 'v9', false), [...versions(49), 'v9']],
      ['disabled with a full trail', enabledWith('n50', 'v9'), [...versions(49), 'v9']],
      ['disabled and rolled back to the base model', enabledWith(null, 'v9'), ['v9']],
      ['disabled and rolled back to the base model', rolledBackTo(null, 'v9', false), ['v9']],
    ),
  )(
    'gives the current place to a new version by rollback, or by enable while disabled: $fleet, $event.type $event.adapter_version',
    follows,
  );

  it.each(
    cases(
      ['enabled on the base model', rolledBack(null, null), []],
      ['enabled with one version', rolledBack('v1', null), []],
      ['enabled with three versions', rolledBack('v3', 'v2'), ['v1', 'v2']],
      ['enabled with a full trail', rolledBack('n50', 'n49'), versions(49)],
      ['enabled and fallen back to the base model', rolledBack(null, null), []],
      ['disabled with nothing to resume', rolledBack(null, null, false), []],
      ['disabled from the start with one to resume', rolledBack('v1', null, false), []],
      ['disabled with three versions', rolledBack('v3', 'v2', false), ['v1', 'v2']],
      ['disabled twice with three versions', rolledBack('v3', 'v2', false), ['v1', 'v2']],
      ['disabled with a full trail', rolledBack('n50', 'n49', false), versions(49)],
      ['disabled and rolled back to the base model', rolledBack(null, null, false), []],
    ),
  )('loses its last entry by a rollback without a version: $fleet', follows);

  it.each(FLEET_NAMES)('stays through disable and enable without a version: %s', (fleet) => {
    const trail = TRAIL[fleet];
    const current = trail.at(-1) ?? null;
    given(FLEETS[fleet]).thenState({ trail });
    follows({ fleet, event: disabled(current), trail });
    follows({ fleet, event: enabled(current), trail });
    given([...FLEETS[fleet], disabled(current), disabled(current), enabled(current)]).thenState({ trail });
  });

  it('keeps the newest fifty', () => {
    given(deployedInTurn(49)).thenState({ trail: versions(49) });
    given(deployedInTurn(50)).thenState({ trail: versions(50) });
    given(deployedInTurn(51)).thenState({ trail: versions(51).slice(1) });
    given(deployedInTurn(60)).thenState({ trail: versions(60).slice(10) });
  });

  it('takes a version that fell off its far end as a new one', () => {
    given([...deployedInTurn(51), deployed('n51', 'n1')]).thenState({
      trail: [...versions(51).slice(2), 'n1'],
    });
  });

  it('walks back version by version to the base model, and stays there', () => {
    given([
      ...FLEETS['enabled with three versions'],
      rolledBack('v3', 'v2'),
      rolledBack('v2', 'v1'),
    ]).thenState({ trail: ['v1'], active_adapter_version: 'v1', rollback_target: null });
    given([
      ...FLEETS['enabled with three versions'],
      rolledBack('v3', 'v2'),
      rolledBack('v2', 'v1'),
      rolledBack('v1', null),
      rolledBack(null, null),
    ]).thenState({ enabled: true, trail: [], active_adapter_version: null, rollback_target: null });
  });

  it('does not bring back an abandoned version until it is named again', () => {
    const abandoned = [...FLEETS['enabled with three versions'], rolledBack('v3', 'v2')];
    given([...abandoned, deployed('v2', 'v4')]).thenState({
      trail: ['v1', 'v2', 'v4'],
      rollback_target: 'v2',
    });
    given([...abandoned, deployed('v2', 'v3'), deployed('v3', 'v4')]).thenState({
      trail: ['v1', 'v2', 'v3', 'v4'],
      rollback_target: 'v3',
    });
  });
});

describe('the previous version', () => {
  it.each<[FleetName, string | null]>([
    ['enabled on the base model', null],
    ['enabled with one version', null],
    ['enabled with three versions', 'v2'],
    ['enabled with a full trail', 'n49'],
    ['enabled and fallen back to the base model', 'v1'],
    ['disabled with nothing to resume', null],
    ['disabled from the start with one to resume', null],
    ['disabled with three versions', 'v3'],
    ['disabled twice with three versions', 'v3'],
    ['disabled with a full trail', 'n50'],
    ['disabled and rolled back to the base model', 'v1'],
  ])('of a fleet that is %s: %s', (fleet, previous) => {
    given(FLEETS[fleet]).thenState({ previous_adapter_version: previous });
  });

  it.each<[string, FleetName, LoraEvent[], string | null]>([
    ['moves by deploy', 'enabled with three versions', [deployed('v3', 'v9')], 'v3'],
    ['moves by enable with a version', 'enabled with three versions', [enabledWith('v3', 'v1')], 'v3'],
    ['moves by rollback', 'enabled with three versions', [rolledBack('v3', 'v2')], 'v3'],
    ['moves by rollback to a version', 'enabled with three versions', [rolledBackTo('v3', 'v1')], 'v3'],
    ['moves by a fall to the base model', 'enabled with one version', [rolledBack('v1', null)], 'v1'],
    ['moves by a kill', 'enabled with three versions', [disabled('v3')], 'v3'],
    ['stays when the same is deployed', 'enabled with three versions', [deployed('v3', 'v3')], 'v2'],
    ['stays when the same is enabled', 'enabled with three versions', [enabled('v3')], 'v2'],
    [
      'stays when the base model is left',
      'enabled and fallen back to the base model',
      [deployed(null, 'v9')],
      'v1',
    ],
    ['stays through a second kill', 'disabled with three versions', [disabled('v3')], 'v3'],
    ['stays through a third kill', 'disabled twice with three versions', [disabled('v3')], 'v3'],
    [
      'stays while disabled, whatever is to be resumed',
      'disabled with three versions',
      [rolledBack('v3', 'v2', false), rolledBackTo('v2', 'v9', false)],
      'v3',
    ],
    ['is the one before the kill after an enable', 'disabled with three versions', [enabled('v3')], 'v3'],
    [
      'is the one before the kill after an enable of another',
      'disabled with three versions',
      [enabledWith('v3', 'v1')],
      'v3',
    ],
    [
      'is not one that was only to be resumed',
      'disabled from the start with one to resume',
      [rolledBackTo('v1', 'v2', false), enabled('v2')],
      null,
    ],
  ])('%s: %s', (_, fleet, events, previous) => {
    given([...FLEETS[fleet], ...events]).thenState({ previous_adapter_version: previous });
  });
});

describe('a second disable', () => {
  it('loses neither what is to be resumed nor the previous version', () => {
    const state = {
      enabled: false,
      active_adapter_version: null,
      resume_adapter_version: 'v3',
      previous_adapter_version: 'v3',
      rollback_target: 'v2',
    };
    given(FLEETS['disabled with three versions']).thenState(state);
    given(FLEETS['disabled twice with three versions']).thenState(state);
  });
});

describe('the last operation', () => {
  it.each<[string, LoraEvent]>([
    ['disabled', disabled('v3')],
    ['enabled', enabled('v3')],
    ['enabled', enabledWith('v3', 'v1')],
    ['rollback', rolledBack('v3', 'v2')],
    ['rollback', rolledBackTo('v3', 'v1')],
    ['deployed', deployed('v3', 'v4')],
  ])('is %s, with its reason and its actor', (operation, event) => {
    given([
      ...FLEETS['enabled with three versions'],
      { ...event, reason: 'regression_detected', actor: 'user:bo' },
    ]).thenState({
      last_operation: operation,
      last_reason: 'regression_detected',
      last_actor: 'user:bo',
    });
  });

  it('is initialized at first', () => {
    given([{ ...initialized(true, 'v1'), reason: 'boot', actor: 'system' }]).thenState({
      last_operation: 'initialized',
      last_reason: 'boot',
      last_actor: 'system',
      previous_adapter_version: null,
    });
  });
});

describe('evolve', () => {
  it('gives what the projection stores, and nothing else', () => {
    expect(evolve(initialState, { ...initialized(false, 'v1'), actor: 'system' })).toStrictEqual({
      state_version: 1,
      enabled: false,
      trail: ['v1'],
      previous: null,
      last_operation: 'initialized',
      last_reason: 'manual_operation',
      last_actor: 'system',
    });
  });

  it('fails on an event that it does not know', () => {
    const unknown = { ...disabled('v1'), type: 'LoraMislaid', actor: 'system' } as unknown as LoraEvent & {
      actor: string;
    };
    expect(() => evolve(initialState, unknown)).toThrow('LoraMislaid');
  });
});
