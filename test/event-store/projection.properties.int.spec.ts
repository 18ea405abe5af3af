import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { sha256 } from '../../src/audit/core/leaf.js';
import { verifyProjection } from '../../src/event-store/projection.js';
import type { LoraCommand } from '../../src/lora/domain/commands.js';
import { decide } from '../../src/lora/domain/decide.js';
import { Refusal } from '../../src/lora/domain/errors.js';
import { evolve, type FleetState } from '../../src/lora/domain/state.js';
import { createDatabase } from '../support/database.js';
import { appendBatch, bodyOf, type Entry, entry, eventFor, on, type Result } from './batches.js';

/** FC_SEED=<seed> repeats a run, and then makes a failure as small as it gets, which takes its time. */
const seed = Number(process.env.FC_SEED ?? Date.now()) | 0;
process.stdout.write(`seed ${seed}\n`);

const FLEETS = ['a', 'b', 'c', 'd'];

/** One command of a replica that batches: what it asks, and what may go wrong with it. */
interface Operation {
  readonly fleet: string;
  readonly type: LoraCommand['type'];
  readonly version: string | null;
  readonly key: 'fresh' | 'again' | 'misused';
}
/** What the replica sends at once, and the fleets of which it has not seen the latest event. */
interface Plan {
  readonly behindOn: readonly string[];
  readonly operations: readonly Operation[];
}

const operation: fc.Arbitrary<Operation> = fc.record({
  fleet: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...FLEETS) },
    { weight: 1, arbitrary: fc.constant('*') },
  ),
  type: fc.constantFrom('InitializeFleet', 'DisableLora', 'EnableLora', 'RollBackLora', 'DeployAdapter'),
  version: fc.constantFrom(null, 'v1', 'v2', 'v3', 'v4'),
  key: fc.oneof(
    { weight: 8, arbitrary: fc.constant('fresh' as const) },
    { weight: 1, arbitrary: fc.constant('again' as const) },
    { weight: 1, arbitrary: fc.constant('misused' as const) },
  ),
});
const plan: fc.Arbitrary<Plan> = fc.record({
  behindOn: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.subarray(FLEETS, { minLength: 1 }) },
  ),
  operations: fc.array(operation, { minLength: 1, maxLength: 6 }),
});

interface Known {
  readonly generation: number;
  readonly state: FleetState;
}

/** A replica that decides on what it knows, as the lane does, and learns from what comes back. */
class Replica {
  readonly history = new Map<string, Known[]>();
  private readonly keys: string[] = [];

  entriesOf({ behindOn, operations }: Plan): Entry[] {
    const base = new Map<string, Known>();
    for (const [fleet, known] of this.history) {
      const seen = known.at(behindOn.includes(fleet) ? -2 : -1);
      if (seen) base.set(fleet, seen);
    }
    const states = new Map([...base].map(([fleet, { state }]) => [fleet, state]));
    return operations.map((each) => this.entryOf(each, base, states));
  }

  /** Takes note of what was appended: its states are those that the replica had decided. */
  learn(entries: readonly Entry[], results: readonly Result[]): void {
    for (const [i, { status, first = 0 }] of results.entries()) {
      if (status !== 'appended') continue;
      for (const [n, { body, state }] of (entries[i]?.events ?? []).entries()) {
        const { fleet } = JSON.parse(body) as { fleet: string };
        const known = this.history.get(fleet) ?? [];
        known.push({ generation: first + n, state });
        this.history.set(fleet, known);
      }
    }
  }

  private entryOf(operation: Operation, base: Map<string, Known>, states: Map<string, FleetState>): Entry {
    const everywhere = operation.fleet === '*';
    const fleets = everywhere ? [...base.keys()] : [operation.fleet];
    const events: Entry['events'][number][] = [];
    for (const fleet of fleets) {
      const body = this.decided(
        { ...operation, fleet, type: everywhere ? 'DisableLora' : operation.type },
        states,
      );
      if (body === null) continue;
      const state = evolve(states.get(fleet) ?? null, body);
      states.set(fleet, state);
      events.push({ ...eventFor(body), state });
    }
    const expected = Object.fromEntries(fleets.map((fleet) => [fleet, base.get(fleet)?.generation ?? 0]));
    const made = entry(expected, { all_fleets: everywhere, events });
    const before = operation.key === 'fresh' ? undefined : this.keys[this.keys.length >> 1];
    const fingerprint = operation.key === 'misused' ? sha256('another').toString('hex') : made.fingerprint;
    this.keys.push(before ?? made.key);
    return before === undefined ? made : { ...made, key: before, fingerprint };
  }

  private decided({ fleet, type, version }: Operation, states: Map<string, FleetState>) {
    const asked = {
      fleet,
      reason: type,
      reference: null,
      adapterVersion: version,
      enabled: version !== null,
    };
    try {
      const event = decide({ ...asked, type } as LoraCommand, states.get(fleet) ?? null, null);
      return event && bodyOf(event);
    } catch (error) {
      if (error instanceof Refusal) return null;
      throw error;
    }
  }
}

/** What the comment on append_batch says, entry by entry. */
class Model {
  position = 0;
  readonly generations = new Map<string, number>();
  readonly met = new Map<string, number>();
  private readonly keys = new Map<string, { fingerprint: string; first: number; last: number }>();

  answers(entries: readonly Entry[]): Result[] {
    const checked = new Set<string>();
    const stopped = new Set<string>();
    return entries.map((each) => {
      const fleets = Object.keys(each.expect);
      const result = this.answer(each, fleets, checked, stopped);
      const ran = result.status === 'appended' || result.status === 'confirmed';
      for (const fleet of fleets) (ran ? checked : stopped).add(fleet);
      this.met.set(result.status, (this.met.get(result.status) ?? 0) + 1);
      return result;
    });
  }

  private answer(each: Entry, fleets: string[], checked: Set<string>, stopped: Set<string>): Result {
    const known = this.keys.get(each.key);
    if (known) {
      const { fingerprint, first, last } = known;
      return { status: fingerprint === each.fingerprint ? 'duplicate' : 'key_reused', first, last };
    }
    if (fleets.some((fleet) => stopped.has(fleet))) return { status: 'retry' };
    const moved = (fleet: string): boolean => each.expect[fleet] !== (this.generations.get(fleet) ?? 0);
    if (fleets.some((fleet) => !checked.has(fleet) && moved(fleet))) return { status: 'conflict' };
    const all = [...this.generations.keys()].sort().join();
    if (each.all_fleets && fleets.sort().join() !== all) return { status: 'conflict' };
    if (each.events.length === 0) return { status: 'confirmed' };
    const first = this.position + 1;
    for (const { body } of each.events) {
      this.position += 1;
      this.generations.set((JSON.parse(body) as { fleet: string }).fleet, this.position);
    }
    this.keys.set(each.key, { fingerprint: each.fingerprint, first, last: this.position });
    return { status: 'appended', first, last: this.position };
  }
}

it('the fold of the log equals the rows after any mix of what can happen to batches', async () => {
  let operations = 0;
  const met = new Map<string, number>();

  await fc.assert(
    fc.asyncProperty(fc.array(plan, { minLength: 5, maxLength: 25 }), async (plans) => {
      const database = await createDatabase();
      const client = await database.connect();
      try {
        const replica = new Replica();
        const model = new Model();
        for (const each of plans) {
          const entries = replica.entriesOf(each);
          operations += entries.length;
          const { position, results } = await appendBatch(on(database), entries);
          expect(results.map(({ status, first, last }) => ({ status, first, last }))).toEqual(
            model.answers(entries).map(({ status, first, last }) => ({ status, first, last })),
          );
          expect(position).toBe(model.position);
          replica.learn(entries, results);
        }
        expect(await verifyProjection(client, { say: () => undefined, pageSize: 7 })).toEqual({
          events: model.position,
          fleets: model.generations.size,
          differences: 0,
          examples: [],
        });
        for (const [status, count] of model.met) met.set(status, (met.get(status) ?? 0) + count);
      } finally {
        await client.end();
        await database.drop();
      }
    }),
    { seed, numRuns: 10, endOnFailure: process.env.FC_SEED === undefined },
  );

  expect(operations).toBeGreaterThan(200);
  // A generator that never meets one of these proves nothing about it.
  expect([...met.keys()].sort()).toEqual([
    'appended',
    'confirmed',
    'conflict',
    'duplicate',
    'key_reused',
    'retry',
  ]);
}, 120_000);
