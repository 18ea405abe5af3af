import { v7 as uuidv7 } from 'uuid';

import type { Kill, Meanwhile } from '../lora/domain/decide.js';
import { LogUnavailable, noneOf, Refusal } from '../lora/domain/errors.js';
import { type EventBody, type LoraEvent, SCHEMA_VERSION } from '../lora/domain/events.js';
import { evolve, type FleetState, initialState, STATE_VERSION } from '../lora/domain/state.js';
import type { StoredState } from '../lora/domain/view.js';
import { canonicalJson } from './event-format.js';
import type { LogMemory } from './log-memory.js';
import type { Submission } from './submission.js';

/** A submission with what must stay the same however often it is sent. */
export interface Entry {
  readonly submission: Submission;
  /** By fleet, its last decision: event ids are given once, so that a submission sent again is the same events. */
  readonly prepared: Map<string, Prepared>;
}

/** A submission decided on what the memory and the entries before it in the batch say. */
export interface Decided {
  readonly expect: Readonly<Record<string, number>>;
  readonly events: readonly Prepared[];
  /** Instead of events: why not. Counts once the log has confirmed the generation that it rests on. */
  readonly refusal?: Error;
  /** Where a kill earlier in the batch is the reason: the entry of the kill, and how to say it when its time is known. */
  readonly killedBy?: { readonly at: KillInBatch; readonly refusal: (recordedAt: string) => Refusal };
}

export interface Prepared {
  readonly event: EventBody;
  readonly body: string;
  /** What it was decided on. */
  readonly stored: StoredState | null;
  readonly state: FleetState;
}

/** A kill that is under way itself: its time is known when the batch has been appended. */
interface KillInBatch {
  readonly kill: Kill;
  readonly entry: number;
  /** Which of the entry's events it is. */
  readonly nth: number;
}

/** The fleets as the entries so far would leave them. */
interface Overlay {
  readonly states: Map<string, StoredState>;
  readonly kills: Map<string, KillInBatch>;
  /** Fleets whose current version an entry changes. */
  readonly versionChanged: Set<string>;
}

/** Decides every entry in order, each on what those before it do. Pure but for the ids that it gives. */
export function decideBatch(entries: readonly Entry[], memory: LogMemory): Decided[] {
  const overlay: Overlay = { states: new Map(), kills: new Map(), versionChanged: new Set() };
  return entries.map((entry, index) => decideEntry(entry, index, memory, overlay));
}

function decideEntry(
  { submission, prepared }: Entry,
  index: number,
  memory: LogMemory,
  overlay: Overlay,
): Decided {
  const stateOf = (fleet: string): StoredState | null => overlay.states.get(fleet) ?? memory.get(fleet);
  const everywhere = submission.fleet === '*';
  const fleets = everywhere
    ? (submission.among ?? [...new Set([...memory.names(), ...overlay.states.keys()])])
    : [submission.fleet];
  const expect = Object.fromEntries(fleets.map((fleet) => [fleet, memory.get(fleet)?.generation ?? 0]));
  const unfit = whyNotNow(submission, memory, fleets.map(stateOf));
  if (unfit) return { expect, events: [], refusal: unfit };

  const events: Prepared[] = [];
  for (const fleet of fleets) {
    const stored = stateOf(fleet);
    // Expected not to exist: one that is made meanwhile is a conflict, and the kill is decided again.
    if (everywhere && stored === null) continue;
    const before = prepared.get(fleet);
    // Nothing comes between a kill and the log: on the same state it is the same decision, of ten thousand fleets too.
    if (before && stored !== null && before.stored === stored && submission.confirmed === null) {
      events.push(before);
      continue;
    }
    const meanwhile = meanwhileOf(submission, fleet, memory, overlay);
    const decideWith = (seen: Meanwhile | null): LoraEvent | null =>
      submission.decide(fleet, stored, seen, memory.logId ?? '');
    try {
      const event = decideWith(meanwhile);
      if (event !== null) events.push(prepare(event, stored, submission, prepared));
    } catch (error) {
      // What is not a refusal is a fault of this service; it must not take the rest of the batch with it.
      if (!(error instanceof Refusal)) return { expect, events: [], refusal: error as Error };
      const killing = error.code === 'killed-meanwhile' ? overlay.kills.get(fleet) : undefined;
      if (!killing || !meanwhile) return { expect, events: [], refusal: error };
      const refusal = (recordedAt: string): Refusal =>
        refusalOf(() => decideWith({ ...meanwhile, kill: { ...killing.kill, recordedAt } })) ?? error;
      return { expect, events: [], refusal: error, killedBy: { at: killing, refusal } };
    }
  }
  if (everywhere && submission.among !== null && events.length === 0) {
    return { expect, events, refusal: noneOf(submission.among) };
  }
  for (const [nth, { event, state }] of events.entries()) {
    const { fleet, actor, reason } = event;
    // The generation is given by the log; what decides on this state looks at what it says, not at its number.
    overlay.states.set(fleet, { fleet, generation: PENDING, recordedAt: '', state });
    if (event.from_version !== event.to_version) overlay.versionChanged.add(fleet);
    if (event.type === 'LoraDisabled')
      overlay.kills.set(fleet, { entry: index, nth, kill: { actor, reason, recordedAt: '' } });
  }
  return { expect, events };
}

/** Generation of a state whose event is in the batch under way: no If-Match names it. */
const PENDING = -1;

function refusalOf(decide: () => unknown): Refusal | undefined {
  try {
    decide();
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

/** Disables are taken in every state of the log; other commands need one that this replica can trust and read. */
function whyNotNow(
  { isKill, key, confirmed }: Submission,
  memory: LogMemory,
  states: readonly (StoredState | null)[],
): LogUnavailable | undefined {
  if (isKill) return undefined;
  const because = (why: string) => new LogUnavailable(`${why} Nothing was changed.`, 'none', key);
  if (memory.wentBackwards) {
    return because('The log went backwards: only disables are taken until an operator has adopted it.');
  }
  if (states.some((stored) => stored !== null && stored.state.state_version > STATE_VERSION)) {
    return because('A newer version of this service writes this log: this replica takes disables only.');
  }
  if (confirmed !== null && confirmed.epoch !== memory.epoch) {
    return because('The log was exchanged while the command was under way. Send it again.');
  }
  return undefined;
}

function meanwhileOf(
  { confirmed }: Submission,
  fleet: string,
  memory: LogMemory,
  overlay: Overlay,
): Meanwhile | null {
  if (confirmed === null) return null;
  const { position } = confirmed;
  const known = memory.get(fleet);
  const last = known?.lastKill ?? null;
  return {
    kill: overlay.kills.get(fleet)?.kill ?? (last && last.generation > position ? last : null),
    versionChanged: overlay.versionChanged.has(fleet) || (known?.versionChangedAt ?? 0) > position,
  };
}

function prepare(
  event: LoraEvent,
  stored: StoredState | null,
  { origin, key }: Submission,
  prepared: Map<string, Prepared>,
): Prepared {
  const id = prepared.get(event.fleet)?.event.id ?? uuidv7();
  const body: EventBody = { schema_version: SCHEMA_VERSION, id, ...event, ...origin, idempotency_key: key };
  const state = evolve(stored?.state ?? initialState, body);
  const decided: Prepared = { event: body, body: canonicalJson(body), stored, state };
  prepared.set(event.fleet, decided);
  return decided;
}

/** The batch as `append_batch` takes it. */
export function toParameter(entries: readonly Entry[], decided: readonly Decided[]): string {
  return JSON.stringify(
    entries.map(({ submission }, index) => ({
      caller: submission.origin.actor,
      key: submission.key,
      fingerprint: submission.fingerprint.toString('hex'),
      expect: decided[index]?.expect,
      all_fleets: submission.fleet === '*' && submission.among === null,
      events: decided[index]?.events.map(({ body, state }) => ({ body, state })),
    })),
  );
}
