import { type Checkpoint, KEY_NAME, signCheckpoint } from '../../../src/audit/core/checkpoint.js';
import { type Evidence, evidenceOf } from '../../../src/audit/core/evidence.js';
import { leafHash } from '../../../src/audit/core/leaf.js';
import { rootOf } from '../../../src/audit/core/merkle.js';
import { generateSignerKey } from '../../../src/audit/core/note.js';
import type { Receipt } from '../../../src/audit/core/receipt.js';
import type { Verdict } from '../../../src/audit/core/log-verifier.js';
import { verifyLog } from '../../../src/audit/core/verify-log.js';
import { canonicalJson } from '../../../src/event-store/event-format.js';
import type { LoraCommand } from '../../../src/lora/domain/commands.js';
import { decide } from '../../../src/lora/domain/decide.js';
import { evolve, type FleetState } from '../../../src/lora/domain/state.js';

export const LOG_ID = '0198f3a0-0000-4000-8000-00000000000a';
export const key = generateSignerKey(KEY_NAME);

export type Line = Record<string, unknown>;
interface Event extends Line {
  readonly position: number;
  readonly recorded_at: string;
  readonly leaf_hash: string;
  readonly body: string;
}

const said = { reason: 'manual_operation', reference: null };
/** Deploys, kills and enables of two fleets. */
export const COMMANDS: readonly LoraCommand[] = [
  { type: 'InitializeFleet', fleet: 'default', enabled: true, adapterVersion: 'v1', ...said },
  { type: 'InitializeFleet', fleet: 'canary', enabled: true, adapterVersion: null, ...said },
  { type: 'DeployAdapter', fleet: 'default', adapterVersion: 'v2', ...said },
  { type: 'DisableLora', fleet: 'default', ...said, reason: 'answers in "klingon"\n— or so' },
  { type: 'RollBackLora', fleet: 'default', adapterVersion: null, ...said },
  { type: 'DeployAdapter', fleet: 'canary', adapterVersion: 'v2', ...said },
  { type: 'EnableLora', fleet: 'default', adapterVersion: null, ...said },
];

/** Events as an export has them. @param change is applied to each body before it is hashed */
export function eventsOf(
  commands: readonly LoraCommand[] = COMMANDS,
  change: (body: Line, position: number) => Line = (body) => body,
): Event[] {
  const states = new Map<string, FleetState>();
  return commands.map((command, index) => {
    const position = index + 1;
    const before = states.get(command.fleet) ?? null;
    const event = decide(command, before, null);
    if (event === null) throw new Error('This fleet exists.');
    const sender = { actor: 'token:ana', auth: 'token', source: null, remote_address: '127.0.0.1' };
    const ids = {
      id: `01978f3a-5c00-7000-8000-00000000000${position}`,
      request_id: 'r',
      idempotency_key: 'k',
    };
    const fields = { ...event, ...sender, ...ids, schema_version: 1 };
    const state = evolve(before, fields);
    states.set(command.fleet, state);
    const { id, type, fleet, adapter_version, from_version, to_version, enabled, reason, reference, actor } =
      fields;
    const columns = {
      id,
      type,
      fleet,
      adapter_version,
      from_version,
      to_version,
      enabled,
      reason,
      reference,
      actor,
    };
    const recorded_at = `2026-11-24T02:14:07.00000${position}Z`;
    const body = canonicalJson(change(fields, position));
    const leaf_hash = leafHash(position, recorded_at, body).toString('hex');
    return { record: 'event', position, recorded_at, leaf_hash, body, columns, state };
  });
}

export function linesOf(events: readonly Event[], about: Line = {}): Line[] {
  const head = {
    log_id: LOG_ID,
    position: events.length,
    since: null,
    until: null,
    fleet: null,
    adoptions: [],
  };
  return [
    { record: 'log', format: 'lora-log-export/1', ...head, ...about },
    ...events,
    { record: 'end', events: events.length, rolls: 0, acknowledgements: 0 },
  ];
}

export function noteOf(
  events: readonly Event[],
  size: number,
  about: Partial<Checkpoint> = {},
  by = key,
): string {
  return signCheckpoint({ logId: LOG_ID, size, root: rootAt(events, size), continues: null, ...about }, by);
}

export function rootAt(events: readonly Event[], size: number): Buffer {
  return rootOf(events.slice(0, size).map(({ leaf_hash }) => Buffer.from(leaf_hash, 'hex')));
}

export function evidence(notes: readonly string[], receipts: readonly Receipt[] = []): Evidence {
  const named = notes.map((text, index) => ({ name: `c${index + 1}`, text }));
  return evidenceOf(named, [key.verifier], receipts);
}

/** Each line in a batch of its own, so that every boundary between batches is met. */
export async function* inBatches(lines: readonly (Line | string)[]): AsyncGenerator<readonly string[]> {
  for (const line of lines)
    yield await Promise.resolve([typeof line === 'string' ? line : JSON.stringify(line)]);
}

export function verify(lines: readonly (Line | string)[], known: Evidence): Promise<Verdict> {
  return verifyLog(inBatches(lines), known);
}
