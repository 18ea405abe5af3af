import { describe, expect, it } from '@jest/globals';
import type { LoraCommand } from '../../../src/lora/domain/commands.js';
import { decide, type Kill } from '../../../src/lora/domain/decide.js';
import { Refusal } from '../../../src/lora/domain/errors.js';
import type { LoraEvent } from '../../../src/lora/domain/events.js';
import {
  deploy,
  deployed,
  disable,
  disabled,
  enable,
  enabled,
  enabledWith,
  FLEET_NAMES,
  type FleetName,
  FLEETS,
  given,
  initialize,
  initialized,
  rollBack,
  rolledBack,
  rolledBackTo,
  stateAfter,
} from './given.js';

type Row = [fleet: FleetName, command: LoraCommand, event: LoraEvent];

const cases = (...rows: Row[]) => rows.map(([fleet, command, event]) => ({ fleet, command, event }));

const isEnabled = (fleet: FleetName) => fleet.startsWith('enabled');

/** The version that is active or to be resumed. */
const CURRENT: Record<FleetName, string | null> = {
  'enabled on the base model': null,
  'enabled with one version': 'v1',
  'enabled with three versions': 'v3',
  'enabled with a full trail': 'n50',
  'enabled and fallen back to the base model': null,
  'disabled with nothing to resume': null,
  'disabled from the start with one to resume': 'v1',
  'disabled with three versions': 'v3',
  'disabled twice with three versions': 'v3',
  'disabled with a full trail': 'n50',
  'disabled and rolled back to the base model': null,
};

const TARGET: Record<FleetName, string | null> = {
  'enabled on the base model': null,
  'enabled with one version': null,
  'enabled with three versions': 'v2',
  'enabled with a full trail': 'n49',
  'enabled and fallen back to the base model': null,
  'disabled with nothing to resume': null,
  'disabled from the start with one to resume': null,
  'disabled with three versions': 'v2',
  'disabled twice with three versions': 'v2',
  'disabled with a full trail': 'n49',
  'disabled and rolled back to the base model': null,
};

const rows = (row: (fleet: FleetName) => [LoraCommand, LoraEvent]): Row[] =>
  FLEET_NAMES.map((fleet) => [fleet, ...row(fleet)]);

describe('initialize', () => {
  it.each([
    [true, null],
    [true, 'v1'],
    [false, null],
    [false, 'v1'],
  ])('makes a fleet: enabled %s, adapter %s', (on, version) => {
    given([])
      .when(initialize(on, version))
      .then([initialized(on, version)]);
  });

  it('keeps what is to be resumed when the fleet begins disabled', () => {
    given([]).when(initialize(false, 'v1')).thenState({
      enabled: false,
      active_adapter_version: null,
      resume_adapter_version: 'v1',
      previous_adapter_version: null,
      last_operation: 'initialized',
    });
  });

  it.each(FLEET_NAMES)('changes nothing of a fleet that exists: %s', (fleet) => {
    given(FLEETS[fleet])
      .when(initialize(!isEnabled(fleet), 'v9'))
      .then([]);
  });
});

describe('disable', () => {
  it.each(rows((fleet) => [disable(), disabled(CURRENT[fleet])]))('kills: %s', (fleet, command, event) => {
    given(FLEETS[fleet]).when(command).then([event]);
  });

  it.each(FLEET_NAMES)('is not refused for anything that came before it: %s', (fleet) => {
    given(FLEETS[fleet])
      .when(disable(), { kill: someKill, versionChanged: true })
      .then([disabled(CURRENT[fleet])]);
  });

  it.each(FLEET_NAMES)('leaves the base model serving and remembers what to resume: %s', (fleet) => {
    given(FLEETS[fleet]).when(disable()).thenState({
      enabled: false,
      active_adapter_version: null,
      resume_adapter_version: CURRENT[fleet],
      last_operation: 'disabled',
    });
  });
});

describe('enable', () => {
  it.each(rows((fleet) => [enable(), enabled(CURRENT[fleet])]))(
    'without a version brings back the current one: %s',
    (fleet, command, event) => {
      given(FLEETS[fleet]).when(command).then([event]);
      given(FLEETS[fleet]).when(command).thenState({
        enabled: true,
        active_adapter_version: CURRENT[fleet],
        resume_adapter_version: null,
        last_operation: 'enabled',
      });
    },
  );

  it.each(rows((fleet) => [enable('v9'), enabledWith(CURRENT[fleet], 'v9')]))(
    'takes a new version: %s',
    (fleet, command, event) => {
      given(FLEETS[fleet]).when(command).then([event]);
      given(FLEETS[fleet]).when(command).thenState({ enabled: true, active_adapter_version: 'v9' });
    },
  );

  it.each(
    cases(
      ['enabled with one version', enable('v1'), enabledWith('v1', 'v1')],
      ['enabled with three versions', enable('v3'), enabledWith('v3', 'v3')],
      ['enabled with three versions', enable('v1'), enabledWith('v3', 'v1')],
      ['enabled and fallen back to the base model', enable('v1'), enabledWith(null, 'v1')],
      ['disabled from the start with one to resume', enable('v1'), enabledWith('v1', 'v1')],
      ['disabled with three versions', enable('v3'), enabledWith('v3', 'v3')],
      ['disabled with three versions', enable('v2'), enabledWith('v3', 'v2')],
      ['disabled and rolled back to the base model', enable('v1'), enabledWith(null, 'v1')],
    ),
  )(
    'takes a version it had: $fleet, $event.type from $event.from_version to $event.to_version',
    ({ fleet, command, event }) => {
      given(FLEETS[fleet]).when(command).then([event]);
    },
  );
});

describe('rollback', () => {
  it.each(rows((fleet) => [rollBack(), rolledBack(CURRENT[fleet], TARGET[fleet], isEnabled(fleet))]))(
    'without a version goes to the rollback target: %s',
    (fleet, command, event) => {
      given(FLEETS[fleet]).when(command).then([event]);
      given(FLEETS[fleet])
        .when(command)
        .thenState({
          enabled: isEnabled(fleet),
          active_adapter_version: isEnabled(fleet) ? TARGET[fleet] : null,
          resume_adapter_version: isEnabled(fleet) ? null : TARGET[fleet],
          last_operation: 'rollback',
        });
    },
  );

  it.each(rows((fleet) => [rollBack('v9'), rolledBackTo(CURRENT[fleet], 'v9', isEnabled(fleet))]))(
    'takes a version the fleet never had: %s',
    (fleet, command, event) => {
      given(FLEETS[fleet]).when(command).then([event]);
      given(FLEETS[fleet])
        .when(command)
        .thenState({
          enabled: isEnabled(fleet),
          active_adapter_version: isEnabled(fleet) ? 'v9' : null,
          resume_adapter_version: isEnabled(fleet) ? null : 'v9',
        });
    },
  );

  it.each(
    cases(
      ['enabled with one version', rollBack('v1'), rolledBackTo('v1', 'v1')],
      ['enabled with three versions', rollBack('v1'), rolledBackTo('v3', 'v1')],
      ['enabled with three versions', rollBack('v3'), rolledBackTo('v3', 'v3')],
      ['enabled and fallen back to the base model', rollBack('v1'), rolledBackTo(null, 'v1')],
      ['enabled with a full trail', rollBack('n1'), rolledBackTo('n50', 'n1')],
      ['disabled from the start with one to resume', rollBack('v1'), rolledBackTo('v1', 'v1', false)],
      ['disabled with three versions', rollBack('v1'), rolledBackTo('v3', 'v1', false)],
      ['disabled and rolled back to the base model', rollBack('v1'), rolledBackTo(null, 'v1', false)],
    ),
  )(
    'takes a version it had: $fleet, $event.type from $event.from_version to $event.to_version',
    ({ fleet, command, event }) => {
      given(FLEETS[fleet]).when(command).then([event]);
    },
  );
});

describe('deploy', () => {
  const switchedOn = FLEET_NAMES.filter(isEnabled);
  const switchedOff = FLEET_NAMES.filter((fleet) => !isEnabled(fleet));

  it.each(switchedOn)('makes a new version active: %s', (fleet) => {
    given(FLEETS[fleet])
      .when(deploy('v9'))
      .then([deployed(CURRENT[fleet], 'v9')]);
    given(FLEETS[fleet]).when(deploy('v9')).thenState({
      enabled: true,
      active_adapter_version: 'v9',
      last_operation: 'deployed',
    });
  });

  it.each(
    cases(
      ['enabled with one version', deploy('v1'), deployed('v1', 'v1')],
      ['enabled with three versions', deploy('v1'), deployed('v3', 'v1')],
      ['enabled with three versions', deploy('v3'), deployed('v3', 'v3')],
      ['enabled and fallen back to the base model', deploy('v1'), deployed(null, 'v1')],
    ),
  )(
    'makes a version it had active: $fleet, $event.type from $event.from_version to $event.to_version',
    ({ fleet, command, event }) => {
      given(FLEETS[fleet]).when(command).then([event]);
    },
  );

  it.each(switchedOff.flatMap((fleet) => ['v9', CURRENT[fleet] ?? 'v8'].map((v) => [v, fleet] as const)))(
    'of %s is refused while the kill-switch is active: %s',
    (version, fleet) => {
      given(FLEETS[fleet]).when(deploy(version)).thenRefused('kill-switch-active', {
        detail: 'LoRA is disabled by kill-switch. Re-enable via POST /lora/enable before deploying adapters.',
        notice: 'Nothing was changed. LoRA is DISABLED.',
      });
    },
  );

  it('is taken again after an enable', () => {
    given([...FLEETS['disabled with three versions'], enabled('v3')])
      .when(deploy('v4'))
      .then([deployed('v3', 'v4')]);
  });
});

describe('a fleet that does not exist', () => {
  it.each<LoraCommand>([disable(), enable(), enable('v1'), rollBack(), rollBack('v1'), deploy('v1')])(
    'is unknown to $type',
    (command) => {
      given([])
        .when({ ...command, fleet: 'canary' })
        .thenRefused('unknown-fleet', { detail: /\bcanary\b/, notice: 'Nothing was changed.' });
    },
  );
});

const someKill: Kill = {
  actor: 'token:ana',
  reason: 'regression_detected',
  recordedAt: '2026-03-01T02:14:07.123456Z',
};

const OVERTAKEN: LoraCommand[] = [
  enable(),
  enable('v3'),
  enable('v9'),
  rollBack(),
  rollBack('v3'),
  rollBack('v9'),
  deploy('v3'),
  deploy('v9'),
];

describe('a kill wins', () => {
  const killed = 'Nothing was changed. LoRA is DISABLED.';

  it.each(OVERTAKEN)(
    'over $type ($adapterVersion) that was under way, and says by whom, when, why',
    (command) => {
      const overtaken = given(FLEETS['disabled with three versions']).when(command, {
        kill: someKill,
        versionChanged: false,
      });
      overtaken.thenRefused('killed-meanwhile', { detail: /token:ana/, notice: killed });
      overtaken.thenRefused('killed-meanwhile', { detail: /2026-03-01T02:14:07\.123456Z/ });
      overtaken.thenRefused('killed-meanwhile', { detail: /regression_detected/ });
    },
  );

  it.each(OVERTAKEN)('over $type ($adapterVersion) also when the kill was lifted since', (command) => {
    given([...FLEETS['disabled with three versions'], enabled('v3')])
      .when(command, { kill: someKill, versionChanged: false })
      .thenRefused('killed-meanwhile', { notice: 'Nothing was changed. LoRA is ENABLED.' });
  });

  it.each(OVERTAKEN)(
    'over $type ($adapterVersion) also when the fleet had been disabled before',
    (command) => {
      given(FLEETS['disabled twice with three versions'])
        .when(command, { kill: someKill, versionChanged: false })
        .thenRefused('killed-meanwhile');
    },
  );

  it('over a rollback whose current version changed too: the kill is what is told', () => {
    given(FLEETS['disabled with three versions'])
      .when(rollBack(), { kill: someKill, versionChanged: true })
      .thenRefused('killed-meanwhile');
  });

  it('and is lifted by an enable that was sent after it', () => {
    given(FLEETS['disabled with three versions'])
      .when(enable(), { kill: null, versionChanged: false })
      .then([enabled('v3')]);
  });
});

describe('a current version that changed meanwhile', () => {
  const onto = (fleet: FleetName, command: LoraCommand, versionChanged: boolean) =>
    given(FLEETS[fleet]).when(command, { kill: null, versionChanged });

  it.each<FleetName>([
    'enabled with three versions',
    'enabled on the base model',
    'enabled and fallen back to the base model',
    'disabled with three versions',
    'disabled and rolled back to the base model',
  ])('refuses a rollback without a version, also where it has come back since: %s', (fleet) => {
    onto(fleet, rollBack(), true).thenRefused('generation-mismatch', {
      detail: new RegExp(CURRENT[fleet] ?? 'the base model'),
      notice: `Nothing was changed. LoRA is ${isEnabled(fleet) ? 'ENABLED' : 'DISABLED'}.`,
    });
  });

  it.each(FLEET_NAMES)('an unchanged one is rolled back: %s', (fleet) => {
    onto(fleet, rollBack(), false).then([rolledBack(CURRENT[fleet], TARGET[fleet], isEnabled(fleet))]);
  });

  it.each(
    cases(
      ['enabled with three versions', rollBack('v1'), rolledBackTo('v3', 'v1')],
      ['enabled with three versions', enable(), enabled('v3')],
      ['enabled with three versions', enable('v1'), enabledWith('v3', 'v1')],
      ['enabled with three versions', deploy('v1'), deployed('v3', 'v1')],
      ['enabled with three versions', disable(), disabled('v3')],
      ['disabled with three versions', rollBack('v1'), rolledBackTo('v3', 'v1', false)],
      ['disabled with three versions', enable(), enabled('v3')],
    ),
  )(
    'is nothing to any other command: $fleet, $event.type from $event.from_version to $event.to_version',
    ({ fleet, command, event }) => {
      onto(fleet, command, true).then([event]);
    },
  );
});

describe('what a caller sent', () => {
  it.each<LoraCommand>([disable(), enable(), enable('v1'), rollBack(), rollBack('v1'), deploy('v1')])(
    'is in the event of $type',
    (command) => {
      const sent = { ...command, fleet: 'canary', reason: 'regression_detected', reference: 'INC-7' };
      expect(decide(sent, stateAfter(FLEETS['enabled with one version']), null)).toMatchObject({
        fleet: 'canary',
        reason: 'regression_detected',
        reference: 'INC-7',
        adapter_version: 'adapterVersion' in command ? command.adapterVersion : null,
      });
    },
  );

  it('is in the event of a new fleet', () => {
    const sent = { ...initialize(false, 'v1'), fleet: 'canary', reason: 'trial', reference: 'INC-7' };
    expect(decide(sent, null, null)).toMatchObject({ fleet: 'canary', reason: 'trial', reference: 'INC-7' });
  });

  it('is refused when nothing knows the command', () => {
    const unknown = { ...disable(), type: 'DropFleet' } as unknown as LoraCommand;
    const attempt = () => decide(unknown, stateAfter(FLEETS['enabled with one version']), null);
    expect(attempt).toThrow('DropFleet');
    expect(attempt).not.toThrow(Refusal);
  });
});
