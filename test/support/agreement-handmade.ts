import type { LoraCommand } from '../../src/lora/domain/commands.js';
import { decide } from '../../src/lora/domain/decide.js';
import { evolve, type FleetState } from '../../src/lora/domain/state.js';
import type {
  Asked,
  CommandRecord,
  History,
  LogEntry,
  ReadRecord,
  StreamRecord,
  Try,
} from './agreement-history.js';

// Histories made by hand, to test the checker. Times are small numbers: milliseconds after an epoch.

const EPOCH = Date.parse('2026-01-01T00:00:00Z');

/** What makes an event: its key, what was asked, when it was recorded, and when decided if not then. */
export type Planned = readonly [key: string, asked: Asked, at: number, decidedAt?: number];

/** A log that is whole: each entry decided on what stands before it. */
export function logOf(...planned: readonly Planned[]): LogEntry[] {
  const states = new Map<string, FleetState>();
  return planned.map(([key, asked, at, decidedAt = at], nth) => {
    const before = states.get(asked.fleet) ?? null;
    const fact = decide(commandOf(asked), before, null);
    if (!fact) throw new Error('Nothing to append.');
    const event: LogEntry['event'] = {
      ...fact,
      schema_version: 1,
      id: `${(EPOCH + decidedAt).toString(16).padStart(12, '0')}7000`,
      actor: 'anonymous',
      auth: 'none',
      source: null,
      remote_address: null,
      request_id: 'request',
      idempotency_key: key,
    };
    const state = evolve(before, event);
    states.set(asked.fleet, state);
    return { position: nth + 1, recordedAt: new Date(EPOCH + at).toISOString(), event, state };
  });
}

function commandOf({ type, fleet, version }: Asked): LoraCommand {
  const common = { fleet, reason: 'test', reference: null };
  switch (type) {
    case 'make':
      return { ...common, type: 'InitializeFleet', enabled: true, adapterVersion: version };
    case 'disable':
      return { ...common, type: 'DisableLora' };
    case 'enable':
      return { ...common, type: 'EnableLora', adapterVersion: version };
    case 'rollback':
      return { ...common, type: 'RollBackLora', adapterVersion: version };
    case 'deploy':
      return { ...common, type: 'DeployAdapter', adapterVersion: version ?? '' };
  }
}

export function ask(
  type: Asked['type'],
  version: string | null = null,
  ifMatch: number | null = null,
): Asked {
  return { type, fleet: 'default', version, ifMatch };
}

/** @param tries `sent..received status`, then a generation as `@4`, `none`, `unknown`, `replayed`, or a code */
export function command(key: string, asked: Asked, ...tries: string[]): CommandRecord {
  return { key, asked, tries: tries.map(tryOf) };
}

function tryOf(text: string): Try {
  const [times = '', status, ...words] = text.split(' ');
  const [sentAt, receivedAt] = times.split('..').map(Number);
  const generation = words.find((word) => word.startsWith('@'));
  const outcome = words.find((word) => word === 'none' || word === 'unknown');
  return {
    sentAt: sentAt ?? 0,
    receivedAt: receivedAt ?? 0,
    replica: 'one',
    status: Number(status),
    generation: generation === undefined ? undefined : Number(generation.slice(1)),
    outcome,
    replayed: words.includes('replayed'),
    code: words.find((word) => word.includes('-')),
  };
}

export function read(
  sentAt: number,
  receivedAt: number,
  generation: number,
  more: Partial<ReadRecord> = {},
): ReadRecord {
  return { sentAt, receivedAt, generation, replica: 'one', fleet: 'default', kind: 'linearizable', ...more };
}

/** @param states when received, the generation, and the version that was active, null while disabled */
export function stream(sentAt: number, ...states: [number, number, string | null][]): StreamRecord {
  return {
    engine: 'engine',
    replica: 'one',
    fleet: 'default',
    sentAt,
    states: states.map(([receivedAt, generation, version]) => {
      return { receivedAt, generation, enabled: version !== null, version };
    }),
  };
}

/** Made, killed, enabled with v2, deployed v3: one after the other, by `one`. */
export const PLAN: readonly Planned[] = [
  ['make', ask('make', 'v1'), 0],
  ['kill', ask('disable'), 10],
  ['enable', ask('enable', 'v2'), 20],
  ['deploy', ask('deploy', 'v3'), 30],
];

export const CLEAN: History = {
  log: logOf(...PLAN),
  commands: [
    command('make', ask('make', 'v1'), '-5..1 201 @1'),
    command('kill', ask('disable'), '5..12 200 @2'),
    command('enable', ask('enable', 'v2'), '15..22 200 @3'),
    command('deploy', ask('deploy', 'v3'), '25..32 200 @4'),
  ],
  reads: [read(13, 14, 2, { shown: { enabled: false, version: null } }), read(33, 34, 4)],
  streams: [stream(2, [3, 1, 'v1'], [11, 2, null], [31, 4, 'v3'])],
};

/** The commands of the clean history, one of them changed or added. */
export function withCommand(...changed: Parameters<typeof command>): Pick<History, 'commands'> {
  const record = command(...changed);
  return { commands: [...CLEAN.commands.filter(({ key }) => key !== record.key), record] };
}

/** The log of the clean history, one of its entries changed. */
export function withEntry(position: number, change: Partial<LogEntry>): Pick<History, 'log'> {
  return { log: CLEAN.log.map((entry) => (entry.position === position ? { ...entry, ...change } : entry)) };
}
