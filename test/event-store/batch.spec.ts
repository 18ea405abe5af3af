import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';

import { decideBatch, type Entry, toParameter } from '../../src/event-store/batch.js';
import type { BatchAnswer } from '../../src/event-store/log-answers.js';
import { type Verdict, verdicts } from '../../src/event-store/verdicts.js';
import { leafHash } from '../../src/audit/core/leaf.js';
import { canonicalJson } from '../../src/event-store/event-format.js';
import { LogMemory } from '../../src/event-store/log-memory.js';
import { decide } from '../../src/lora/domain/decide.js';
import { LogUnavailable, Refusal } from '../../src/lora/domain/errors.js';
import { STATE_VERSION } from '../../src/lora/domain/state.js';
import type { StoredState } from '../../src/lora/domain/view.js';
import {
  deploy,
  deployed,
  disable,
  disabled,
  enable,
  initialize,
  initialized,
  LOG_ID,
  rollBack,
} from '../lora/domain/given.js';
import { LogStory, timeOf } from './log-story.js';
import { entryOf } from './submissions.js';

type Results = NonNullable<BatchAnswer['results']>;
type Decided = ReturnType<typeof decideBatch>[number];

/** Fleet a on v2 with v1 before it at 3, fleet b killed at 4. */
const story = LogStory.of(LOG_ID)
  .tell('a', initialized(true, 'v1'))
  .tell('b', initialized(true, 'v1'))
  .tell('a', deployed('v1', 'v2'))
  .tell('b', disabled('v1'));

let memory: LogMemory;

function load(told: LogStory): void {
  memory = new LogMemory();
  memory.load(told.snapshot());
}
// The memory's alarms are looked at in its own test.
beforeAll(() => {
  Logger.overrideLogger(false);
});
afterAll(() => {
  Logger.overrideLogger(true);
});
beforeEach(() => {
  load(story);
});

/** Confirmed under what the memory knows now. */
const now = (fleet: string) => ({
  confirmed: { position: memory.get(fleet)?.generation ?? 0, epoch: memory.epoch },
});

/** What the events of an entry say, in short. */
const told = ({ events }: Decided): string[] =>
  events.map(({ event }) => `${event.fleet} ${event.type} ${event.from_version} ${event.to_version}`);

const appended = (first: number, count = 1): Results[number] => ({
  status: 'appended',
  first,
  last: first + count - 1,
  recorded_at: Array.from({ length: count }, (_, i) => timeOf(first + i)),
});
const confirmed: Results[number] = { status: 'confirmed' };

/** Decides a batch and takes what the log has answered to it. */
function settle(entries: readonly Entry[], results: Results): Verdict[] {
  return verdicts(entries, decideBatch(entries, memory), results, memory);
}

function refusal(verdict: Verdict | undefined): Refusal {
  if (verdict instanceof Refusal) return verdict;
  throw new Error(`Not a refusal: ${JSON.stringify(verdict)}`);
}

describe('one command', () => {
  it('is an event with the states around it, on the generation that it was decided on', () => {
    const entry = entryOf('a', deploy('v3'), { ...now('a'), key: 'k', actor: 'token:bo', reason: 'new' });
    const [decided, ...others] = decideBatch([entry], memory);
    if (!decided) throw new Error('Nothing was decided.');
    expect(others).toEqual([]);
    expect(decided.expect).toEqual({ a: 3 });
    expect(decided.refusal).toBeUndefined();
    const [prepared] = decided.events;
    expect(prepared).toMatchObject({
      event: {
        schema_version: 1,
        id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/) as unknown,
        type: 'AdapterDeployed',
        fleet: 'a',
        adapter_version: 'v3',
        from_version: 'v2',
        to_version: 'v3',
        reason: 'new',
        actor: 'token:bo',
        idempotency_key: 'k',
      },
      stored: { state: { trail: ['v1', 'v2'] } },
      state: { trail: ['v1', 'v2', 'v3'], last_operation: 'deployed', last_actor: 'token:bo' },
    });
    expect(prepared?.body).toBe(canonicalJson(prepared?.event ?? {}));

    expect(JSON.parse(toParameter([entry], [decided]))).toEqual([
      {
        caller: 'token:bo',
        key: 'k',
        fingerprint: entry.submission.fingerprint.toString('hex'),
        expect: { a: 3 },
        all_fleets: false,
        events: [{ body: prepared?.body, state: prepared?.state }],
      },
    ]);
  });

  it('is not decided again on the same state, and is on another', () => {
    let asked = 0;
    const command = disable();
    const entry = entryOf('*', command, {
      decide: (fleet, stored, meanwhile) => {
        asked += 1;
        return decide({ ...command, fleet }, stored?.state ?? null, meanwhile);
      },
    });
    const events = () => decideBatch([entry], memory)[0]?.events;
    const first = events();
    const fleets = memory.names().length;
    expect([first?.length, asked]).toEqual([fleets, fleets]);
    expect(events()).toEqual(first);
    expect(asked).toBe(fleets);
    load(story.tell('a', deployed('v2', 'v7')));
    expect(events()?.find(({ event }) => event.fleet === 'a')?.event.to_version).toBe('v7');
    expect(asked).toBeGreaterThan(fleets);
  });

  it('is the same event however often it is decided, on whatever state', () => {
    const entry = entryOf('a', disable());
    const ids = (): string[] =>
      decideBatch([entry], memory).flatMap(({ events }) => events.map(({ event }) => event.id));
    const first = ids();
    expect(first).toHaveLength(1);
    load(story.tell('a', deployed('v2', 'v7')));
    expect(ids()).toEqual(first);
    expect(decideBatch([entryOf('a', disable())], memory)[0]?.events[0]?.event.id).not.toBe(first[0]);
  });

  it('that was appended is in the memory, as the log hashed it', () => {
    const entry = entryOf('a', disable(), { reason: 'slow' });
    const [decided] = decideBatch([entry], memory);
    const [verdict] = settle([entry], [appended(5)]);
    expect(verdict).toMatchObject({
      type: 'appended',
      logId: LOG_ID,
      first: 5,
      last: 5,
      appended: [
        {
          event: { type: 'LoraDisabled', reason: 'slow' },
          before: { enabled: true },
          after: { fleet: 'a', generation: 5, recordedAt: timeOf(5), state: { enabled: false } },
        },
      ],
    });
    expect(memory.get('a')).toMatchObject({ generation: 5, lastKill: { generation: 5, reason: 'slow' } });
    expect(memory.position).toBe(5);
    // The next question to the log finds the leaf that this replica has computed.
    const leaf = leafHash(5, timeOf(5), decided?.events[0]?.body ?? '').toString('hex');
    expect(memory.absorb(5, { log_id: LOG_ID, position: 5, leaf, rows: [] })).toBe('absorbed');
  });

  it('that is refused has no event, and is refused once the log has confirmed what it rests on', () => {
    const entry = entryOf('b', deploy('v3'), now('b'));
    const decided = decideBatch([entry], memory);
    expect(decided).toMatchObject([{ expect: { b: 4 }, events: [] }]);
    expect(refusal(verdicts([entry], decided, [confirmed], memory)[0]).code).toBe('kill-switch-active');
    expect(verdicts([entry], decided, [{ status: 'conflict' }], memory)).toEqual(['conflict']);
    expect(verdicts([entry], decided, [{ status: 'retry' }], memory)).toEqual(['retry']);
  });

  it('of a fleet that does not exist is refused on its absence', () => {
    const entry = entryOf('nowhere', disable());
    expect(decideBatch([entry], memory)).toMatchObject([{ expect: { nowhere: 0 }, events: [] }]);
    expect(refusal(settle([entry], [confirmed])[0]).code).toBe('unknown-fleet');
  });

  it('that fails in a way that was not foreseen harms no other', () => {
    const broken = entryOf('a', enable(), {
      decide: () => {
        throw new TypeError('not foreseen');
      },
    });
    const other = entryOf('a', disable());
    const [verdict, kill] = settle([broken, other], [confirmed, appended(5)]);
    expect(verdict).toBeInstanceOf(TypeError);
    expect(kill).toMatchObject({ type: 'appended', first: 5 });
  });

  it('is not settled by the answer to another batch', () => {
    expect(() => settle([entryOf('a', disable())], [])).toThrow('append_batch answered for other entries');
  });
});

describe('a kill in the batch', () => {
  it('is the reason for what comes after it, and its time is told as the log recorded it', () => {
    const entries = [
      entryOf('a', disable(), { actor: 'token:bo', reason: 'slow' }),
      entryOf('a', enable(), now('a')),
      entryOf('a', rollBack(), now('a')),
      entryOf('a', deploy('v3'), now('a')),
    ];
    const decided = decideBatch(entries, memory);
    expect(decided.map(told)).toEqual([['a LoraDisabled v2 v2'], [], [], []]);
    // All expect the generation before the batch.
    expect(decided.map(({ expect }) => expect)).toEqual(entries.map(() => ({ a: 3 })));

    const [kill, ...late] = settle(entries, [appended(9), confirmed, confirmed, confirmed]);
    expect(kill).toMatchObject({ type: 'appended', first: 9 });
    expect(late).toHaveLength(3);
    for (const each of late.map(refusal)) {
      expect(each.code).toBe('killed-meanwhile');
      expect(each.message).toMatch(
        `LoRA was disabled at ${timeOf(9)} by token:bo (slow) after this command had arrived`,
      );
      expect(each.notice).toBe('Nothing was changed. LoRA is DISABLED.');
    }
  });

  it('is the last one when there are several', () => {
    const entries = [
      entryOf('a', disable(), { reason: 'first' }),
      entryOf('a', disable(), { reason: 'second' }),
      entryOf('a', enable(), now('a')),
    ];
    const [, , late] = settle(entries, [appended(5), appended(6), confirmed]);
    expect(refusal(late).message).toMatch(`${timeOf(6)} by token:ana (second)`);
  });

  it('is told with the time of the fleet itself when it is one of all fleets', () => {
    const entries = [entryOf('*', disable(), { reason: 'all' }), entryOf('b', enable(), now('b'))];
    const [kill, late] = settle(entries, [appended(5, 2), confirmed]);
    expect(kill).toMatchObject({ first: 5, last: 6 });
    expect(memory.get('b')).toMatchObject({ generation: 6, recordedAt: timeOf(6) });
    expect(refusal(late).message).toMatch(`LoRA was disabled at ${timeOf(6)} by token:ana (all)`);
  });

  it('does not touch what comes before it, nor another fleet', () => {
    const entries = [
      entryOf('a', deploy('v3'), now('a')),
      entryOf('a', disable()),
      entryOf('b', enable(), now('b')),
    ];
    expect(decideBatch(entries, memory).map(told)).toEqual([
      ['a AdapterDeployed v2 v3'],
      ['a LoraDisabled v3 v3'],
      ['b LoraEnabled v1 v1'],
    ]);
  });

  it('that is refused itself is none', () => {
    const refused = entryOf('a', disable(), {
      decide: (_fleet, stored) => {
        throw new Refusal('generation-mismatch', 'If-Match', stored?.state ?? null);
      },
    });
    const entries = [refused, entryOf('a', enable(), now('a'))];
    expect(decideBatch(entries, memory).map(told)).toEqual([[], ['a LoraEnabled v2 v2']]);
    const [first, second] = settle(entries, [confirmed, appended(5)]);
    expect(refusal(first).code).toBe('generation-mismatch');
    expect(second).toMatchObject({ type: 'appended', first: 5 });
  });

  it('that the log had already leaves the others to be decided again', () => {
    const kill = entryOf('a', disable());
    const entries = [kill, entryOf('a', enable(), now('a'))];
    expect(
      settle(entries, [{ status: 'duplicate', first: 2, last: 2, id: 'another' }, { status: 'retry' }]),
    ).toEqual([{ type: 'replayed', logId: LOG_ID, first: 2, last: 2 }, 'retry']);
  });

  it('before the batch and after the arrival is a reason too, with its own time', () => {
    const enabling = entryOf('a', enable(), now('a'));
    const killed = story.tell('a', disabled('v2'), { actor: 'token:bo', reason: 'slow' });
    memory.absorb(4, killed.since(4));
    const [late] = settle([enabling], [confirmed]);
    expect(refusal(late).message).toMatch(`LoRA was disabled at ${timeOf(5)} by token:bo (slow)`);
    // One that arrives now comes after it.
    expect(decideBatch([entryOf('a', enable(), now('a'))], memory).map(told)).toEqual([
      ['a LoraEnabled v2 v2'],
    ]);
  });
});

describe('rollbacks without a version in a batch', () => {
  it('are one step, and a refusal that names what is current now', () => {
    const entries = [entryOf('a', rollBack(), now('a')), entryOf('a', rollBack(), now('a'))];
    expect(decideBatch(entries, memory).map(told)).toEqual([['a LoraRolledBack v2 v1'], []]);
    const [first, second] = settle(entries, [appended(5), confirmed]);
    expect(first).toMatchObject({ type: 'appended' });
    expect(refusal(second)).toMatchObject({
      code: 'generation-mismatch',
      message: expect.stringMatching(/after this rollback had arrived \(now v1\)/) as unknown,
      notice: 'Nothing was changed. LoRA is ENABLED.',
    });
  });

  it('are refused also when the version has changed and come back', () => {
    const entries = [
      entryOf('a', deploy('v3'), now('a')),
      entryOf('a', rollBack('v2'), now('a')),
      entryOf('a', rollBack(), now('a')),
    ];
    expect(decideBatch(entries, memory).map(told)).toEqual([
      ['a AdapterDeployed v2 v3'],
      ['a LoraRolledBack v3 v2'],
      [],
    ]);
  });

  it('are taken when nothing changed the version', () => {
    const entries = [entryOf('a', enable(), now('a')), entryOf('a', rollBack(), now('a'))];
    expect(decideBatch(entries, memory).map(told)).toEqual([
      ['a LoraEnabled v2 v2'],
      ['a LoraRolledBack v2 v1'],
    ]);
  });

  it('are refused when it changed after their arrival and before the batch', () => {
    const rollback = entryOf('a', rollBack(), now('a'));
    memory.absorb(4, story.tell('a', deployed('v2', 'v3')).since(4));
    expect(refusal(settle([rollback], [confirmed])[0]).message).toMatch(/now v3/);
  });
});

describe('a kill of all fleets', () => {
  it('of a caller who has some of them is decided on those alone, and that the others do not exist', () => {
    const entry = entryOf('*', disable(), { among: ['a', 'later'] });
    const [decided] = decideBatch([entry], memory);
    if (!decided) throw new Error('Nothing was decided.');
    expect(told(decided)).toEqual(['a LoraDisabled v2 v2']);
    expect(decided.expect).toEqual({ a: 3, later: 0 });
    expect(JSON.parse(toParameter([entry], [decided]))).toMatchObject([{ all_fleets: false }]);
  });

  it('of a caller whose fleets do not exist is refused, on that they do not', () => {
    const [decided] = decideBatch([entryOf('*', disable(), { among: ['later'] })], memory);
    expect(decided).toMatchObject({ expect: { later: 0 }, events: [], refusal: { code: 'unknown-fleet' } });
  });

  it('has one event for each there is, and says which it means', () => {
    const entry = entryOf('*', disable());
    const decided = decideBatch([entry], memory);
    expect(decided.map(told)).toEqual([['a LoraDisabled v2 v2', 'b LoraDisabled v1 v1']]);
    expect(JSON.parse(toParameter([entry], decided))).toMatchObject([
      { all_fleets: true, expect: { a: 3, b: 4 } },
    ]);
    const [verdict] = verdicts([entry], decided, [appended(5, 2)], memory);
    expect(verdict).toMatchObject({
      first: 5,
      last: 6,
      appended: [
        { after: { fleet: 'a', generation: 5, recordedAt: timeOf(5) } },
        { after: { fleet: 'b', generation: 6, recordedAt: timeOf(6) } },
      ],
    });
    expect(memory.position).toBe(6);
  });

  it('meets a fleet that is made in the same batch', () => {
    const entries = [entryOf('new', initialize(true, 'v5')), entryOf('*', disable())];
    const decided = decideBatch(entries, memory);
    expect(decided.map(told)).toEqual([
      ['new LoraInitialized null v5'],
      ['a LoraDisabled v2 v2', 'b LoraDisabled v1 v1', 'new LoraDisabled v5 v5'],
    ]);
    expect(decided.map(({ expect }) => expect)).toEqual([{ new: 0 }, { a: 3, b: 4, new: 0 }]);
    const [made, killed] = verdicts(entries, decided, [appended(5), appended(6, 3)], memory);
    expect(made).toMatchObject({ appended: [{ before: null, after: { state: { enabled: true } } }] });
    expect(killed).toMatchObject({
      appended: [{}, {}, { before: { enabled: true }, after: { generation: 8 } }],
    });
    expect(memory.get('new')).toMatchObject({ generation: 8, state: { enabled: false, trail: ['v5'] } });
    expect(memory.position).toBe(8);
  });

  it('of a log without a fleet ends, with nothing to do', () => {
    load(LogStory.of(LOG_ID));
    const entry = entryOf('*', disable());
    const decided = decideBatch([entry], memory);
    expect(decided).toMatchObject([{ expect: {}, events: [] }]);
    // Tried again it would be so again, until its deadline.
    expect(verdicts([entry], decided, [confirmed], memory)).toMatchObject([
      { name: 'LogUnavailable', outcome: 'none' },
    ]);
  });
});

describe('the making of a fleet', () => {
  it('that is there changes nothing, and shows it', () => {
    const entry = entryOf('a', initialize(false, 'v9'));
    expect(decideBatch([entry], memory)).toMatchObject([{ expect: { a: 3 }, events: [] }]);
    expect(settle([entry], [confirmed])).toEqual([
      { type: 'unchanged', logId: LOG_ID, snapshot: memory.get('a') },
    ]);
  });

  it('twice in a batch makes it once', () => {
    const entries = [entryOf('new', initialize(true, 'v5')), entryOf('new', initialize(true, 'v6'))];
    expect(decideBatch(entries, memory).map(told)).toEqual([['new LoraInitialized null v5'], []]);
    const [first, second] = settle(entries, [appended(5), confirmed]);
    expect(first).toMatchObject({ type: 'appended' });
    expect(second).toMatchObject({ type: 'unchanged', snapshot: { fleet: 'new', generation: 5 } });
  });
});

describe('a key that the log knows', () => {
  it('under the id of this very try is what was appended, whose answer had been lost', () => {
    const entry = entryOf('a', disable());
    const [decided] = decideBatch([entry], memory);
    const id = decided?.events[0]?.event.id ?? '';
    expect(settle([entry], [{ status: 'duplicate', first: 5, last: 5, id }])).toEqual([
      { type: 'appended', logId: LOG_ID, first: 5, last: 5, appended: undefined },
    ]);
    // The memory hears of it from the log.
    expect(memory.get('a')?.generation).toBe(3);
  });

  it('is that also of a kill of all fleets, by its first event', () => {
    const entry = entryOf('*', disable());
    const [decided] = decideBatch([entry], memory);
    const id = decided?.events[0]?.event.id ?? '';
    expect(settle([entry], [{ status: 'duplicate', first: 5, last: 6, id }])).toMatchObject([
      { type: 'appended', first: 5, last: 6, appended: undefined },
    ]);
  });

  it('under another id is a repeat', () => {
    const id = 'an-earlier-one';
    expect(settle([entryOf('a', disable())], [{ status: 'duplicate', first: 2, last: 3, id }])).toEqual([
      { type: 'replayed', logId: LOG_ID, first: 2, last: 3 },
    ]);
  });

  it('wins over a refusal', () => {
    const enabling = entryOf('b', deploy('v9'), now('b'));
    expect(settle([enabling], [{ status: 'duplicate', first: 2, last: 2, id: 'x' }])).toMatchObject([
      { type: 'replayed' },
    ]);
  });

  it('of another command is refused, and told where that one is', () => {
    const entry = entryOf('b', disable(), { key: 'used' });
    const refused = refusal(settle([entry], [{ status: 'key_reused', first: 2, last: 2, id: 'x' }])[0]);
    expect(refused).toMatchObject({
      code: 'idempotency-key-reused',
      message: 'The Idempotency-Key used belongs to another command, at position 2.',
      notice: 'Nothing was changed. LoRA is DISABLED.',
    });
  });
});

describe('what is decided on', () => {
  it('is what the entries before it do, without a generation that If-Match could name', () => {
    const seen: (StoredState | null)[] = [];
    const watching = entryOf('a', rollBack('v1'), {
      ...now('a'),
      decide: (_fleet, stored) => {
        seen.push(stored);
        return null;
      },
    });
    decideBatch([watching, entryOf('a', deploy('v3'), now('a')), watching], memory);
    expect(seen).toMatchObject([
      { generation: 3, state: { trail: ['v1', 'v2'] } },
      { state: { trail: ['v1', 'v2', 'v3'] } },
    ]);
    expect(seen[1]?.generation).toBeLessThan(0);
  });

  it('names the log', () => {
    let named = '';
    const watching = entryOf('a', disable(), {
      decide: (_fleet, _stored, _meanwhile, logId) => {
        named = logId;
        return null;
      },
    });
    decideBatch([watching], memory);
    expect(named).toBe(LOG_ID);
  });
});

describe('a log that this replica cannot trust or read takes kills only', () => {
  const commands = [
    ['an enable', enable()],
    ['a rollback', rollBack()],
    ['a deploy', deploy('v3')],
  ] as const;

  /** Not before the log has confirmed it, and with nothing appended. */
  function expectUnavailable(entry: Entry, why: RegExp): void {
    const decided = decideBatch([entry], memory);
    expect(decided).toMatchObject([{ events: [] }]);
    const [verdict] = verdicts([entry], decided, [confirmed], memory);
    expect(verdict).toBeInstanceOf(LogUnavailable);
    expect(verdict).toMatchObject({
      outcome: 'none',
      idempotencyKey: entry.submission.key,
      message: expect.stringMatching(why) as unknown,
    });
    expect((verdict as LogUnavailable).message).toMatch('Nothing was changed.');
  }

  describe.each(commands)('%s', (_, command) => {
    it('whose memory was exchanged after it had arrived', () => {
      const entry = entryOf('a', command, now('a'));
      memory.load(story.snapshot());
      expectUnavailable(entry, /exchanged/);
      expect(decideBatch([entryOf('a', command, now('a'))], memory)[0]?.events).toHaveLength(1);
    });

    it('of a state of a newer version', () => {
      load(story.tell('a', deployed('v2', 'v3'), { state: { state_version: STATE_VERSION + 1 } }));
      expectUnavailable(entryOf('a', command, now('a')), /newer version/);
    });

    it('while the log is further back than it was', () => {
      const entry = entryOf('a', command, now('a'));
      expect(memory.absorb(4, story.until(3).since(4))).toBe('reload');
      expectUnavailable(entry, /went backwards/);
      memory.load(story.until(3).snapshot());
      expectUnavailable(entryOf('a', command, now('a')), /went backwards/);
    });
  });

  it('nor is a fleet made while the log is further back', () => {
    memory.absorb(4, story.until(3).since(4));
    expectUnavailable(entryOf('new', initialize(true, null)), /went backwards/);
  });

  it('a newer state in another fleet is no obstacle', () => {
    load(story.tell('b', disabled('v1'), { state: { state_version: STATE_VERSION + 1 } }));
    expect(decideBatch([entryOf('a', enable(), now('a'))], memory)[0]?.events).toHaveLength(1);
  });

  it('a kill is taken after all of these, of one fleet and of all', () => {
    const newer = { state_version: STATE_VERSION + 1, of_a_newer_version: [1] };
    load(story.tell('a', deployed('v2', 'v3'), { state: newer }));
    const kills = [entryOf('a', disable()), entryOf('*', disable())];
    memory.absorb(5, story.until(3).since(5));
    memory.load(story.until(2).tell('a', deployed('v1', 'v4'), { state: newer }).snapshot());
    expect(memory.wentBackwards).toBe(true);

    const decided = decideBatch(kills, memory);
    expect(decided.map(({ events }) => events.length)).toEqual([1, 2]);
    // What a newer version has put into the state is kept.
    expect(decided[0]?.events[0]?.state).toMatchObject({ ...newer, enabled: false });
  });

  it('a repeat of a command that the log has wins over all of these', () => {
    const entry = entryOf('a', enable(), now('a'));
    memory.load(story.snapshot());
    expect(settle([entry], [{ status: 'duplicate', first: 2, last: 2, id: 'x' }])).toMatchObject([
      { type: 'replayed', first: 2 },
    ]);
  });
});
