import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { v7 as uuidv7 } from 'uuid';
import { sha256 } from '../../src/audit/core/leaf.js';
import { canonicalJson } from '../../src/event-store/event-format.js';
import type { EventBody, LoraEvent } from '../../src/lora/domain/events.js';
import { evolve, type FleetState } from '../../src/lora/domain/state.js';
import type { TestDatabase } from '../support/database.js';

/** One command of a batch, as the SQL function append_batch takes it. */
export interface Entry {
  readonly caller: string;
  readonly key: string;
  readonly fingerprint: string;
  readonly expect: Readonly<Record<string, number>>;
  readonly all_fleets: boolean;
  readonly events: readonly { readonly body: string; readonly state: FleetState }[];
}

export interface Result {
  readonly status: 'appended' | 'confirmed' | 'duplicate' | 'key_reused' | 'conflict' | 'retry';
  readonly first?: number;
  readonly last?: number;
  readonly recorded_at?: readonly string[];
  /** Of the event at `first`, where the key was known already. */
  readonly id?: string;
}

export interface Batch {
  readonly log_id: string;
  readonly position: number;
  readonly results: readonly Result[];
  readonly since: Since | null;
}

/** The head, and what came after a position, as log_since tells it. */
export interface Since {
  readonly log_id: string;
  readonly position: number;
  readonly leaf: string | null;
  readonly rows: readonly { readonly position: number; readonly fleet: string }[];
}

/** Asks on one connection, or on any of a database's. */
export type Asking = (sql: string, parameters: unknown[]) => Promise<{ answer: unknown }[]>;

export const through =
  (client: pg.Client): Asking =>
  async (sql, parameters) =>
    (await client.query<{ answer: unknown }>(sql, parameters)).rows;

export const on =
  (database: TestDatabase): Asking =>
  (sql, parameters) =>
    database.query<{ answer: unknown }>(sql, parameters);

export async function appendBatch(ask: Asking, entries: readonly Entry[]): Promise<Batch> {
  const rows = await ask('select append_batch($1) as answer', [JSON.stringify(entries)]);
  return rows[0]?.answer as Batch;
}

export async function statusesOf(ask: Asking, entries: readonly Entry[]): Promise<string[]> {
  return (await appendBatch(ask, entries)).results.map(({ status }) => status);
}

/** The whole event around what a test says of it. */
export function bodyOf(event: Partial<EventBody> & Pick<LoraEvent, 'fleet'>): EventBody {
  return {
    schema_version: 1,
    id: uuidv7(),
    type: 'LoraEnabled',
    adapter_version: null,
    from_version: null,
    to_version: null,
    enabled: true,
    reason: 'manual_operation',
    reference: null,
    actor: 'anonymous',
    auth: 'none',
    source: null,
    remote_address: null,
    request_id: randomUUID(),
    idempotency_key: randomUUID(),
    ...event,
  } as EventBody;
}

export function eventFor(body: EventBody, before: FleetState | null = null): Entry['events'][number] {
  return { body: canonicalJson(body), state: evolve(before, body) };
}

/** An entry that appends one event to each fleet it names with the generation it expects. */
export function entry(expect: Record<string, number>, over: Partial<Entry> = {}): Entry {
  const key = over.key ?? randomUUID();
  return {
    caller: 'anonymous',
    key,
    fingerprint: sha256('what was asked').toString('hex'),
    expect,
    all_fleets: false,
    events: Object.keys(expect).map((fleet) => eventFor(bodyOf({ fleet, idempotency_key: key }))),
    ...over,
  };
}
