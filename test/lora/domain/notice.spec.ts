import { describe, expect, it } from '@jest/globals';
import type { EventBody, LoraEvent } from '../../../src/lora/domain/events.js';
import { type Hindsight, noticeOf } from '../../../src/lora/domain/notice.js';
import {
  deployed,
  disabled,
  enabled,
  enabledWith,
  type FleetName,
  FLEETS,
  initialized,
  rolledBack,
  rolledBackTo,
  stateAfter,
} from './given.js';

type Row = [fleet: FleetName, event: LoraEvent, notice: string | undefined];

const cases = (...rows: Row[]) => rows.map(([fleet, event, text]) => ({ fleet, event, text }));

const asStored = (event: LoraEvent): EventBody => ({
  ...event,
  schema_version: 1,
  id: '01956a7e-4f10-7c3a-8b52-6d0f9e1a2c34',
  actor: 'token:ana',
  auth: 'token',
  source: null,
  remote_address: null,
  request_id: 'r-1',
  idempotency_key: 'k-1',
});

function notice(fleet: FleetName | null, event: LoraEvent, hindsight: Partial<Hindsight> = {}) {
  const history = fleet === null ? [] : FLEETS[fleet];
  const after = stateAfter([...history, event]);
  if (after === null) throw new Error('An event leaves a state.');
  return noticeOf(stateAfter(history), asStored(event), after, {
    now: '2026-03-01T02:20:00.000001Z',
    disabledSince: null,
    wasEverActive: true,
    ...hindsight,
  });
}

describe('the notice', () => {
  it.each([
    initialized(true, null),
    initialized(false, null),
    initialized(true, 'v1'),
    initialized(false, 'v1'),
  ])('is absent for a new fleet: enabled $enabled, $to_version', (event) => {
    expect(notice(null, event, { wasEverActive: false })).toBeUndefined();
  });

  it.each(
    cases(
      ['enabled with one version', disabled('v1'), undefined],
      ['enabled on the base model', disabled(null), undefined],
      ['disabled with three versions', enabled('v3'), undefined],
      ['disabled with three versions', enabledWith('v3', 'v2'), undefined],
      ['enabled with three versions', enabledWith('v3', 'v1'), undefined],
      ['enabled with three versions', rolledBack('v3', 'v2'), undefined],
      ['enabled with three versions', rolledBackTo('v3', 'v1'), undefined],
      ['enabled with three versions', deployed('v3', 'v1'), undefined],
      ['enabled on the base model', deployed(null, 'v9'), undefined],
    ),
  )(
    'is absent where nothing can surprise: $fleet, $event.type from $event.from_version to $event.to_version',
    ({ fleet, event, text }) => {
      expect(notice(fleet, event)).toBe(text);
    },
  );

  it('is absent for a first deploy of a version', () => {
    expect(
      notice('enabled with one version', deployed('v1', 'v9'), { wasEverActive: false }),
    ).toBeUndefined();
  });

  it.each(
    cases(
      [
        'disabled with three versions',
        rolledBack('v3', 'v2', false),
        'LoRA stays DISABLED; enable will bring v2.',
      ],
      [
        'disabled with three versions',
        rolledBackTo('v3', 'v1', false),
        'LoRA stays DISABLED; enable will bring v1.',
      ],
      [
        'disabled twice with three versions',
        rolledBackTo('v3', 'v1.2', false),
        'LoRA stays DISABLED; enable will bring v1.2.',
      ],
    ),
  )(
    'of a rollback while disabled: $fleet, $event.type from $event.from_version to $event.to_version',
    ({ fleet, event, text }) => {
      expect(notice(fleet, event)).toBe(text);
    },
  );

  it.each(
    cases(
      [
        'enabled with one version',
        rolledBack('v1', null),
        'No earlier version: fell back to the base model.',
      ],
      [
        'enabled on the base model',
        rolledBack(null, null),
        'No earlier version: fell back to the base model.',
      ],
      [
        'enabled and fallen back to the base model',
        rolledBack(null, null),
        'No earlier version: fell back to the base model.',
      ],
    ),
  )(
    'of a rollback with nothing left to go back to: $fleet, $event.type from $event.from_version to $event.to_version',
    ({ fleet, event, text }) => {
      expect(notice(fleet, event)).toBe(text);
    },
  );

  it.each<FleetName>(['disabled from the start with one to resume', 'disabled with nothing to resume'])(
    'says both where both are true: %s',
    (fleet) => {
      const current = fleet === 'disabled with nothing to resume' ? null : 'v1';
      const text = notice(fleet, rolledBack(current, null, false));
      expect(text).toContain('No earlier version: fell back to the base model.');
      expect(text).toContain('LoRA stays DISABLED; enable will bring the base model.');
    },
  );

  it.each(
    cases(
      ['enabled with one version', rolledBackTo('v1', 'v1.2'), 'v1.2 was never active in fleet default.'],
      ['enabled with one version', enabledWith('v1', 'v1.2'), 'v1.2 was never active in fleet default.'],
      ['disabled with three versions', enabledWith('v3', 'v1.2'), 'v1.2 was never active in fleet default.'],
      [
        'disabled with three versions',
        rolledBackTo('v3', 'v1.2', false),
        'v1.2 was never active in fleet default. LoRA stays DISABLED; enable will bring v1.2.',
      ],
    ),
  )(
    'of a version that was never active: $fleet, $event.type from $event.from_version to $event.to_version',
    ({ fleet, event, text }) => {
      expect(notice(fleet, event, { wasEverActive: false })).toBe(text);
    },
  );

  it('names the fleet', () => {
    const event = { ...rolledBackTo('v1', 'v1.2'), fleet: 'canary' };
    expect(notice('enabled with one version', event, { wasEverActive: false })).toBe(
      'v1.2 was never active in fleet canary.',
    );
  });

  it('does not call a version that nobody named never active', () => {
    expect(
      notice('enabled with three versions', rolledBack('v3', 'v2'), { wasEverActive: false }),
    ).toBeUndefined();
    expect(notice('disabled with three versions', enabled('v3'), { wasEverActive: false })).toBeUndefined();
  });

  it('of a second kill says since when, by whom', () => {
    const disabledSince = { recordedAt: '2026-03-01T02:14:07.123456Z', actor: 'token:ana' };
    expect(notice('disabled twice with three versions', disabled('v3'), { disabledSince })).toBe(
      'Already disabled since 02:14:07Z by token:ana.',
    );
  });

  it('of a second kill on another day says the day', () => {
    const disabledSince = { recordedAt: '2026-02-28T23:59:59.999999Z', actor: 'token:ana' };
    expect(notice('disabled twice with three versions', disabled('v3'), { disabledSince })).toBe(
      'Already disabled since 2026-02-28 23:59:59Z by token:ana.',
    );
  });

  it.each(
    cases(
      ['enabled with three versions', enabled('v3'), 'enabled already'],
      ['enabled with three versions', enabledWith('v3', 'v3'), 'enabled already'],
      ['enabled with three versions', deployed('v3', 'v3'), 'v3 was active already'],
      ['enabled with three versions', rolledBackTo('v3', 'v3'), 'v3 was the current version already'],
      ['disabled with three versions', rolledBackTo('v3', 'v3', false), 'v3 was the current version already'],
      ['disabled with nothing to resume', enabled(null), 'base model'],
      ['enabled on the base model', enabled(null), 'base model'],
    ),
  )(
    'says that nothing changed, or that no adapter serves: $fleet, $event.type from $event.from_version to $event.to_version',
    ({ fleet, event, text }) => {
      expect(notice(fleet, event)).toContain(text);
    },
  );
});
