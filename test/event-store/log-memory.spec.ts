import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';

import { type FleetSnapshot, LogMemory } from '../../src/event-store/log-memory.js';
import { noHistories } from '../../src/lora/domain/histories.js';
import {
  deployed,
  disabled,
  enabled,
  enabledWith,
  initialized,
  LOG_ID,
  rolledBack,
} from '../lora/domain/given.js';
import { LogStory, timeOf } from './log-story.js';

const OTHER_ID = '9a1b2c3d-0000-4000-8000-000000000001';

const story = LogStory.of(LOG_ID)
  .tell('a', initialized(true, 'v1'))
  .tell('b', initialized(false, 'v1'))
  .tell('a', deployed('v1', 'v2'));

let memory: LogMemory;
let announced: string[] = [];
let alarms: string[] = [];
let warnings: string[] = [];

function follow(): LogMemory {
  const followed = new LogMemory();
  followed.onChange(({ fleet, generation }) => announced.push(`${fleet} ${generation}`));
  return followed;
}

beforeEach(() => {
  Logger.overrideLogger({
    log: () => undefined,
    warn: (message: string) => warnings.push(message),
    error: (message: string) => alarms.push(message),
  });
  memory = follow();
  memory.load(story.snapshot());
  announced = [];
  alarms = [];
  warnings = [];
});
afterEach(() => {
  Logger.overrideLogger(true);
});

/** Takes what the story has more than the memory. */
function absorb(told: LogStory, asked = memory.position): 'absorbed' | 'reload' {
  return memory.absorb(asked, told.since(asked));
}

const a = (): FleetSnapshot => {
  const snapshot = memory.get('a');
  if (!snapshot) throw new Error('There is no fleet a.');
  return snapshot;
};

describe('a memory that has read nothing', () => {
  it('knows nothing and says so', () => {
    const fresh = new LogMemory();
    expect(fresh).toMatchObject({ logId: undefined, isEmpty: true, position: 0, wentBackwards: false });
    expect([fresh.get('a'), fresh.seen('a'), fresh.names(), fresh.aheadSeconds]).toEqual([null, null, [], 0]);
  });

  it('needs a snapshot before it can take what came since', () => {
    const fresh = follow();
    expect(fresh.absorb(0, story.since(0))).toBe('reload');
    expect(fresh.isEmpty).toBe(true);
    expect(announced).toEqual([]);
  });

  it('that has read an empty log is still empty', () => {
    const fresh = new LogMemory();
    fresh.load(LogStory.of(LOG_ID).snapshot());
    expect(fresh).toMatchObject({ logId: LOG_ID, isEmpty: true, position: 0 });
    expect(fresh.absorb(0, story.since(0))).toBe('absorbed');
    expect(fresh).toMatchObject({ isEmpty: false, position: 3 });
  });
});

describe('a snapshot', () => {
  it('gives every fleet as it is stored, with no more than that tells', () => {
    expect(memory).toMatchObject({ logId: LOG_ID, position: 3, isEmpty: false });
    expect(memory.names()).toEqual(['a', 'b']);
    const nothingSeen = { versionChangedAt: 0, lastKill: null, histories: undefined };
    expect(memory.get('a')).toEqual({
      fleet: 'a',
      generation: 3,
      recordedAt: timeOf(3),
      state: story.stateOf('a'),
      disabledSince: null,
      ...nothingSeen,
    });
    // Since when it is disabled happened before this memory came to know it.
    expect(memory.get('b')).toMatchObject({ generation: 2, disabledSince: undefined, ...nothingSeen });
    expect(memory.seen('b')).toBe(memory.get('b'));
  });

  it('is announced, fleet by fleet, and starts the memory anew', () => {
    const epoch = memory.epoch;
    absorb(story.tell('a', disabled('v2')));
    announced = [];
    memory.load(story.tell('a', disabled('v2')).tell('c', initialized(true, null)).snapshot());
    expect(announced.sort()).toEqual(['a 4', 'b 2', 'c 5']);
    expect(memory.epoch).toBeGreaterThan(epoch);
    expect(a()).toMatchObject({ generation: 4, lastKill: null, disabledSince: undefined });
  });

  it('is not announced to who has ended listening', () => {
    const heard: string[] = [];
    const end = memory.onChange(({ fleet }) => heard.push(fleet));
    end();
    memory.load(story.snapshot());
    expect(heard).toEqual([]);
    expect(announced).toHaveLength(2);
  });
});

describe('what the log tells since', () => {
  it('is taken in order: stored states, never a fold of its own', () => {
    const told = story
      .tell('a', disabled('v2'), { state: { last_reason: 'as stored', of_a_newer_version: true } })
      .tell('b', enabled('v1'));
    expect(absorb(told)).toBe('absorbed');
    expect(memory.position).toBe(5);
    expect(a()).toMatchObject({ generation: 4, recordedAt: timeOf(4), state: told.stateOf('a') });
    expect(a().state).toMatchObject({ last_reason: 'as stored', of_a_newer_version: true });
    expect(memory.get('b')).toMatchObject({ generation: 5, state: { enabled: true } });
    expect(announced).toEqual(['a 4', 'b 5']);
  });

  it('is taken once, however late and often it comes', () => {
    const told = story.tell('a', deployed('v2', 'v3')).tell('a', disabled('v3'));
    const late = story.tell('a', deployed('v2', 'v3')).since(3);
    absorb(told);
    const snapshot = a();
    expect(memory.absorb(3, late)).toBe('absorbed');
    expect(memory.absorb(3, told.since(3))).toBe('absorbed');
    expect(memory.absorb(0, told.since(0))).toBe('absorbed');
    expect(a()).toBe(snapshot);
    expect(memory.position).toBe(5);
    expect(announced).toEqual(['a 4', 'a 5']);
  });

  it('is taken page by page', () => {
    const told = story.tell('a', disabled('v2')).tell('a', enabled('v2')).tell('a', disabled('v2'));
    memory.absorb(3, told.since(3, 2));
    expect(memory.position).toBe(5);
    expect(a().state.enabled).toBe(true);
    memory.absorb(5, told.since(5, 2));
    expect(memory.position).toBe(6);
    expect(a().state.enabled).toBe(false);
  });

  it('is taken up to a gap, and from behind one not at all', () => {
    const told = story
      .tell('a', deployed('v2', 'v3'))
      .tell('b', enabled('v1'))
      .tell('a', deployed('v3', 'v4'))
      .tell('a', deployed('v4', 'v5'));
    const since = told.since(3);
    memory.absorb(3, { ...since, rows: since.rows.filter(({ position }) => position !== 5) });
    expect(memory.position).toBe(4);
    expect(a().generation).toBe(4);
    expect(announced).toEqual(['a 4']);

    memory.absorb(4, { ...told.since(4), rows: told.since(5).rows });
    expect(memory.position).toBe(4);
    expect(absorb(told)).toBe('absorbed');
    expect(memory.position).toBe(7);
    expect(a().generation).toBe(7);
  });

  it('is not taken from a log of another name: that needs a snapshot', () => {
    const renamed = story.tell('a', disabled('v2')).renamed(OTHER_ID);
    expect(absorb(renamed)).toBe('reload');
    expect(memory).toMatchObject({ logId: LOG_ID, position: 3, wentBackwards: false });
    expect(a().generation).toBe(3);
    expect([announced, alarms]).toEqual([[], []]);
  });
});

describe('what is remembered of a fleet', () => {
  it('is the last kill, and the first one of the present outage', () => {
    absorb(story.tell('a', disabled('v2'), { actor: 'token:bo', reason: 'slow' }));
    const first = { actor: 'token:bo', reason: 'slow', recordedAt: timeOf(4), generation: 4 };
    expect(a().lastKill).toEqual(first);
    expect(a().disabledSince).toMatchObject({ recordedAt: timeOf(4), actor: 'token:bo' });

    const twice = story
      .tell('a', disabled('v2'), { actor: 'token:bo', reason: 'slow' })
      .tell('a', disabled('v2'), { actor: 'token:cy', reason: 'again' })
      .tell('a', rolledBack('v2', 'v1', false));
    absorb(twice);
    expect(a().lastKill).toMatchObject({ actor: 'token:cy', reason: 'again', generation: 5 });
    expect(a().disabledSince).toMatchObject({ recordedAt: timeOf(4), actor: 'token:bo' });

    absorb(twice.tell('a', enabled('v1')));
    expect(a().lastKill).toMatchObject({ generation: 5 });
    expect(a().disabledSince).toBeNull();
  });

  it('is the making of a fleet that was made disabled, which is no kill', () => {
    absorb(story.tell('c', initialized(false, 'v1'), { actor: 'system' }));
    expect(memory.get('c')).toMatchObject({
      lastKill: null,
      disabledSince: { recordedAt: timeOf(4), actor: 'system' },
    });
  });

  it('stays unknown when the outage began before this memory', () => {
    absorb(story.tell('b', disabled('v1')));
    expect(memory.get('b')).toMatchObject({ disabledSince: undefined, lastKill: { generation: 4 } });
  });

  it.each([
    ['a kill', disabled('v2'), 0],
    ['an enable that brings what was there', enabled('v2'), 0],
    ['a deploy of the same version', deployed('v2', 'v2'), 0],
    ['a deploy', deployed('v2', 'v3'), 4],
    ['an enable with another version', enabledWith('v2', 'v3'), 4],
    ['a rollback', rolledBack('v2', 'v1'), 4],
  ])('after %s is when the current version changed', (_, event, changedAt) => {
    absorb(story.tell('a', event));
    expect(a().versionChangedAt).toBe(changedAt);
  });

  it('is that the version changed, also when it has come back', () => {
    absorb(story.tell('a', deployed('v2', 'v3')).tell('a', rolledBack('v3', 'v2')).tell('a', enabled('v2')));
    expect(a()).toMatchObject({ generation: 6, versionChangedAt: 5 });
  });

  it('is how far the newest event is ahead of this clock', () => {
    const fresh = new LogMemory();
    const ahead = new Date(Date.now() + 3600_000).toISOString().replace('Z', '000Z');
    fresh.load(LogStory.of(LOG_ID).snapshot());
    expect(fresh.aheadSeconds).toBe(0);
    const { rows } = story.since(0);
    fresh.absorb(0, { ...story.since(0), rows: rows.map((row) => ({ ...row, recorded_at: ahead })) });
    expect(fresh.aheadSeconds).toBeGreaterThan(3590);
    expect(fresh.aheadSeconds).toBeLessThanOrEqual(3600);
  });
});

describe('a log that goes backwards', () => {
  const killed = story.tell('a', disabled('v2')).tell('b', enabled('v1')).tell('c', initialized(true, 'v1'));

  beforeEach(() => {
    absorb(killed);
    announced = [];
  });

  const restored: [string, LogStory][] = [
    ['has a lower head', killed.until(3)],
    ['has nothing any more', LogStory.of(LOG_ID)],
    [
      'has as many events, others',
      killed.until(3).tell('a', enabled('v2')).tell('b', enabled('v1')).tell('c', initialized(true, 'v1')),
    ],
    [
      'has gone further by another way',
      killed.until(5).tell('a', enabled('v2')).tell('a', deployed('v2', 'v9')).tell('b', disabled('v1')),
    ],
  ];

  it.each(restored)('is noticed when it %s', (_, other) => {
    expect(absorb(other)).toBe('reload');
    expect(memory.wentBackwards).toBe(true);
    expect(alarms).toEqual([expect.stringMatching(/^THE LOG WENT BACKWARDS: .*position 6 .*log:adopt/s)]);
    expect(a().generation).toBe(4);
    expect(announced).toEqual([]);
  });

  it('is not what an answer is that was overtaken on its way', () => {
    const [early, now] = [killed.until(5).since(3), killed.until(3).since(3)];
    expect(memory.absorb(3, early)).toBe('absorbed');
    expect(memory.absorb(3, now)).toBe('absorbed');
    expect(memory.absorb(6, killed.since(6))).toBe('absorbed');
    expect(memory.wentBackwards).toBe(false);
  });

  it('keeps what was killed killed for readers, and shows the rest as it is', () => {
    const other = killed.until(3).tell('b', enabled('v1'));
    absorb(other);
    memory.load(other.snapshot());
    expect(memory).toMatchObject({ wentBackwards: true, position: 4, logId: LOG_ID });
    // What the log has is what commands are decided on; what readers see is the kill.
    expect(memory.get('a')).toMatchObject({ generation: 3, state: { enabled: true } });
    expect(memory.seen('a')).toMatchObject({ generation: 4, state: { enabled: false } });
    expect(memory.seen('b')).toMatchObject({ generation: 4, state: { enabled: true } });
    expect(memory.seen('c')).toBeNull();
  });

  it('keeps a fleet that was made and killed after the backup among those that readers see', () => {
    absorb(killed.tell('c', disabled('v1')));
    const other = killed.until(3);
    absorb(other);
    memory.load(other.snapshot());
    expect(memory.names()).toEqual(['a', 'b']);
    expect(memory.seenNames()).toEqual(['a', 'b', 'c']);
    expect(memory.seen('c')).toMatchObject({ state: { enabled: false } });
  });

  it('keeps it also while the log goes on, goes backwards again, or is read anew', () => {
    const other = killed.until(3);
    absorb(other);
    memory.load(other.snapshot());
    const on = other.tell('a', deployed('v2', 'v7')).tell('a', deployed('v7', 'v8'));
    expect(absorb(on)).toBe('absorbed');
    expect(memory.get('a')).toMatchObject({ generation: 5 });
    expect(memory.seen('a')).toMatchObject({ generation: 4, state: { enabled: false } });

    expect(absorb(on.until(4))).toBe('reload');
    memory.load(on.until(4).snapshot());
    expect(memory.seen('a')).toMatchObject({ generation: 4, state: { enabled: false } });
    expect(memory.wentBackwards).toBe(true);
    // Whoever has killed again what was lost must hear that it is lost again.
    expect(alarms).toEqual([expect.stringContaining('position 6'), expect.stringContaining('position 5')]);
    expect(warnings).toEqual([]);
  });

  it('keeps what was killed after it too, when it goes backwards again', () => {
    const other = killed.until(3).tell('b', enabled('v1'));
    absorb(other);
    memory.load(other.snapshot());
    const again = other.tell('b', disabled('v1'), { reason: 'by another replica' });
    const own = again.tell('a', disabled('v2'), { reason: 'by this one' });
    absorb(again);
    const [row] = own.since(5).rows;
    if (row) memory.takeOwn(row);

    expect(absorb(other)).toBe('reload');
    memory.load(other.snapshot());
    expect(memory.get('b')).toMatchObject({ state: { enabled: true } });
    expect(memory.seen('a')).toMatchObject({ state: { enabled: false, last_reason: 'by this one' } });
    expect(memory.seen('b')).toMatchObject({ state: { enabled: false, last_reason: 'by another replica' } });
    expect(alarms).toHaveLength(2);
  });

  it('shows the newest kill of a fleet: not an older one of the log, and a newer one at once', () => {
    absorb(killed.tell('a', enabled('v2')).tell('a', disabled('v2'), { reason: 'lost' }));
    // The backup is from the first of the two outages.
    let on = killed.until(4);
    absorb(on);
    memory.load(on.snapshot());
    expect(memory.get('a')).toMatchObject({ generation: 4, state: { enabled: false } });
    expect(memory.seen('a')).toMatchObject({ generation: 8, state: { last_reason: 'lost' } });

    while (on.position < 8) on = on.tell('b', enabled('v1'));
    absorb(on.tell('a', disabled('v2'), { reason: 'again' }));
    expect(memory.seen('a')).toMatchObject({ generation: 9, state: { last_reason: 'again' } });
    expect(memory.seen('a')).toBe(memory.get('a'));
  });

  it('raises one alarm, however many answers tell of it, before the log is read anew and after', () => {
    const other = killed.until(3);
    const asked = memory.position;
    expect([absorb(other, asked), absorb(other, asked)]).toEqual(['reload', 'reload']);
    memory.load(other.snapshot());
    expect(memory.absorb(asked, other.since(asked))).toBe('absorbed');
    expect(alarms).toHaveLength(1);
    expect(absorb(other.tell('b', disabled('v1')))).toBe('absorbed');
    expect(memory.get('b')).toMatchObject({ generation: 4 });
  });

  it('is over when an operator has given it another name', () => {
    const other = killed.until(3);
    absorb(other);
    memory.load(other.snapshot());
    const adopted = other.renamed(OTHER_ID);
    expect(absorb(adopted)).toBe('reload');
    expect(memory.wentBackwards).toBe(true);
    memory.load(adopted.snapshot());
    expect(memory).toMatchObject({ wentBackwards: false, logId: OTHER_ID, position: 3 });
    expect(memory.seen('a')).toMatchObject({ generation: 3, state: { enabled: true } });
    expect(warnings).toEqual([expect.stringContaining(OTHER_ID)]);

    // From here on it is a log like any other.
    absorb(adopted.tell('a', disabled('v2')));
    expect(absorb(adopted)).toBe('reload');
    expect(memory.wentBackwards).toBe(true);
  });

  it('that was adopted before this memory has noticed is another log, not one that went backwards', () => {
    const adopted = killed.until(3).renamed(OTHER_ID);
    expect(absorb(adopted)).toBe('reload');
    memory.load(adopted.snapshot());
    expect(memory).toMatchObject({ wentBackwards: false, logId: OTHER_ID, position: 3 });
    expect(memory.seen('a')).toMatchObject({ state: { enabled: true } });
    expect(alarms).toEqual([]);
  });
});

describe('a log under a name that nobody has given it', () => {
  const killed = story.tell('a', disabled('v2')).tell('b', enabled('v1'));
  const foreign = LogStory.of(OTHER_ID)
    .tell('a', initialized(true, 'v9'))
    .tell('c', initialized(false, 'v1'));
  const THIRD_ID = '9a1b2c3d-0000-4000-8000-000000000002';

  beforeEach(() => {
    absorb(killed);
    expect(absorb(foreign)).toBe('reload');
    memory.load(foreign.snapshot());
  });

  it('is as little trusted as one that went backwards: what was killed stays so', () => {
    expect(alarms).toEqual([expect.stringMatching(/^ANOTHER LOG: .*-000000000001 .* log:adopt/s)]);
    expect(memory).toMatchObject({ wentBackwards: true, logId: OTHER_ID, position: 2 });
    expect(memory.seen('a')).toMatchObject({ generation: 4, state: { enabled: false } });
    expect(memory.get('a')).toMatchObject({ generation: 1, state: { enabled: true } });
    expect(memory.seenNames()).toEqual(['a', 'c']);
    expect(absorb(foreign.tell('a', disabled('v9'), { reason: 'now' }))).toBe('absorbed');
    expect(alarms).toHaveLength(1);
  });

  it('is trusted when it was adopted, once or more often', () => {
    memory.load(foreign.renamed(LOG_ID.replace('0', 'f')).renamed(THIRD_ID).snapshot());
    expect(memory).toMatchObject({ wentBackwards: false, logId: THIRD_ID });
    expect(memory.seen('a')).toMatchObject({ state: { enabled: true } });
    expect(warnings).toEqual([expect.stringContaining(THIRD_ID)]);
  });

  it('is not when yet another follows it, nor when the old one is back: until that was adopted', () => {
    const third = LogStory.of(THIRD_ID).tell('a', initialized(true, 'v1'));
    for (const strange of [third, killed, foreign]) {
      memory.load(strange.snapshot());
      expect(memory.wentBackwards).toBe(true);
      expect(memory.seen('a')).toMatchObject({ generation: 4, state: { enabled: false } });
    }
    expect(memory.seen('c')).toMatchObject({ state: { enabled: false } });
    expect(alarms).toHaveLength(4);
    expect(warnings).toEqual([]);
    memory.load(foreign.renamed(THIRD_ID).snapshot());
    expect(memory.wentBackwards).toBe(false);
  });

  it('may be the log as it was before it was adopted: a backup from then', () => {
    const adopted = killed.renamed(THIRD_ID).tell('b', disabled('v1'));
    const followed = follow();
    followed.load(adopted.snapshot());
    followed.load(killed.snapshot());
    expect(followed.wentBackwards).toBe(true);
    expect(followed.seen('b')).toMatchObject({ generation: 6, state: { enabled: false } });
    followed.load(killed.renamed(OTHER_ID).snapshot());
    expect(followed.wentBackwards).toBe(false);
  });
});

describe('an event that this replica has appended', () => {
  const own = (told: LogStory, position: number): FleetSnapshot => {
    const row = told.rows[position - 1];
    if (!row) throw new Error(`The story has nothing at ${position}.`);
    return memory.takeOwn(row);
  };

  it('is taken at once, and when it is the next one the memory is as far as it', () => {
    const told = story.tell('a', disabled('v2'));
    const snapshot = own(told, 4);
    expect(snapshot).toBe(a());
    expect(snapshot).toMatchObject({ generation: 4, state: { enabled: false }, lastKill: { generation: 4 } });
    expect(memory.position).toBe(4);
    expect(announced).toEqual(['a 4']);
    expect(absorb(told)).toBe('absorbed');
    expect(a()).toBe(snapshot);
    expect(announced).toEqual(['a 4']);
    // With its leaf.
    expect(absorb(story.tell('a', enabled('v2')))).toBe('reload');
    expect(memory.wentBackwards).toBe(true);
  });

  it('is taken ahead of others, which follow; it is not taken twice', () => {
    const told = story.tell('b', enabled('v1')).tell('b', disabled('v1')).tell('a', deployed('v2', 'v3'));
    memory.learn('a', 3, noHistories);
    own(told, 6);
    expect(memory.position).toBe(3);
    expect(a()).toMatchObject({ generation: 6, versionChangedAt: 6 });
    expect(memory.get('b')?.generation).toBe(2);

    const snapshot = a();
    expect(absorb(told)).toBe('absorbed');
    expect(memory.position).toBe(6);
    expect(memory.get('b')?.generation).toBe(5);
    expect(a()).toBe(snapshot);
    expect(a().histories?.activation_history).toHaveLength(1);
    expect(announced).toEqual(['a 6', 'b 4', 'b 5']);
  });

  it('is told as of itself when the memory is further already, which stays where it is', () => {
    const told = story.tell('a', disabled('v2')).tell('a', enabled('v2')).tell('a', deployed('v2', 'v3'));
    memory.learn('a', 3, noHistories);
    absorb(told.until(4));
    const kill = a();
    absorb(told);
    const newest = a();
    announced = [];
    expect(own(told, 4)).toBe(kill);
    expect(kill).toMatchObject({ lastKill: { generation: 4 }, histories: noHistories });
    expect(own(told, 6)).toBe(newest);
    expect(a()).toBe(newest);
    expect(memory.position).toBe(6);
    expect(announced).toEqual([]);
  });

  it('is told with what it alone says when the memory was read anew meanwhile', () => {
    const told = story.tell('a', disabled('v2')).tell('a', enabled('v2'));
    absorb(told.until(4));
    memory.load(told.snapshot());
    expect(own(told, 4)).toEqual({
      fleet: 'a',
      generation: 4,
      recordedAt: timeOf(4),
      state: told.rows[3]?.state,
      disabledSince: undefined,
      versionChangedAt: 0,
      lastKill: null,
      histories: undefined,
    });
    expect(a().generation).toBe(5);
  });

  it('is told so too when more than a thousand came after it', () => {
    let long = story.tell('a', disabled('v2'));
    for (let more = 0; more < 1000; more += 1) long = long.tell('b', disabled('v1'));
    long = long.tell('a', enabled('v2'));
    while (memory.position < long.position) absorb(long);
    expect(own(long, 4)).toMatchObject({ generation: 4, state: { enabled: false }, lastKill: null });
    expect(own(long, 5)).toMatchObject({ fleet: 'b', generation: 5, lastKill: null });
    expect(own(long, 6)).toMatchObject({ fleet: 'b', generation: 6, lastKill: { generation: 6 } });
  });

  describe('ahead of what is known', () => {
    const told = story.tell('b', enabled('v1')).tell('a', disabled('v2'));

    it('is missed when the log has lost it, before others have taken its place', () => {
      const before = memory.seenUpTo;
      own(told, 5);
      expect([before, memory.position, memory.seenUpTo]).toEqual([3, 3, 5]);
      // The first question was asked before it was there, the others after.
      expect(memory.absorb(3, story.since(3), before)).toBe('absorbed');
      expect(memory.absorb(3, told.since(3, 1), memory.seenUpTo)).toBe('absorbed');
      expect([memory.position, memory.seenUpTo, alarms]).toEqual([4, 5, []]);
      expect(memory.absorb(4, told.until(4).since(4), memory.seenUpTo)).toBe('reload');
      expect(alarms).toEqual([expect.stringMatching(/^THE LOG WENT BACKWARDS: .*position 5 /)]);
      memory.load(told.until(4).snapshot());
      expect(memory.seenUpTo).toBe(4);
      expect(memory.get('a')).toMatchObject({ state: { enabled: true } });
      expect(memory.seen('a')).toMatchObject({ generation: 5, state: { enabled: false } });
    });

    it('is missed where another has taken its place', () => {
      own(told, 5);
      const other = story.tell('b', enabled('v1')).tell('a', enabled('v2')).tell('a', deployed('v2', 'v3'));
      expect(absorb(other)).toBe('reload');
      expect(memory.wentBackwards).toBe(true);
      expect(memory.position).toBe(3);
      memory.load(other.snapshot());
      expect(memory.seen('a')).toMatchObject({ generation: 5, state: { enabled: false } });
    });
  });

  it('makes a fleet, with its histories from the start', () => {
    own(story.tell('c', initialized(true, 'v1')), 4);
    expect(memory.names()).toEqual(['a', 'b', 'c']);
    expect(memory.get('c')?.histories).toEqual(noHistories);
  });
});

describe('histories', () => {
  const entry = (generation: number, from_version: string, to_version: string) => ({
    timestamp: timeOf(generation),
    from_version,
    to_version,
    enabled: true,
    reason: `step ${generation}`,
    actor: 'token:ana',
    generation,
  });
  const asOf3 = {
    rollback_history: [],
    activation_history: [{ ...entry(3, 'v1', 'v2'), operation: 'deployed' as const }],
  };
  const told = story
    .tell('a', rolledBack('v2', 'v1'))
    .tell('b', enabled('v1'))
    .tell('a', disabled('v1'))
    .tell('a', enabled('v1'));

  it('are unknown until somebody has read them, and kept up to date from then on', () => {
    memory.learn('a', 3, asOf3);
    expect(a().histories).toEqual(asOf3);
    expect(announced).toEqual([]);
    absorb(told);
    expect(a().histories).toEqual({
      rollback_history: [entry(4, 'v2', 'v1')],
      activation_history: [...asOf3.activation_history, { ...entry(7, 'v1', 'v1'), operation: 'enabled' }],
    });
    expect(memory.get('b')?.histories).toBeUndefined();
  });

  it('that were read as of before are brought up to date by what came since', () => {
    absorb(told.until(4));
    memory.learn('a', 3, asOf3);
    const asOf4 = { ...asOf3, rollback_history: [entry(4, 'v2', 'v1')] };
    expect(a()).toMatchObject({ generation: 4, histories: asOf4 });
    absorb(told);
    expect(a().histories?.activation_history).toHaveLength(2);
  });

  it('that were read as of now have nothing that came before twice', () => {
    absorb(told);
    const asOf7 = {
      rollback_history: [entry(4, 'v2', 'v1')],
      activation_history: [
        ...asOf3.activation_history,
        { ...entry(7, 'v1', 'v1'), operation: 'enabled' as const },
      ],
    };
    memory.learn('a', 7, asOf7);
    expect(a().histories).toEqual(asOf7);
  });

  it('that were read first stay', () => {
    memory.learn('a', 3, asOf3);
    memory.learn('a', 3, noHistories);
    expect(a().histories).toBe(asOf3);
  });

  it('as of before the memory began are of no use', () => {
    const reloaded = told.until(4);
    memory.load(reloaded.snapshot());
    memory.learn('a', 3, asOf3);
    expect(a().histories).toBeUndefined();
    memory.learn('nowhere', 3, asOf3);
    expect(memory.get('nowhere')).toBeNull();
  });

  it('are gone when the log is read anew', () => {
    memory.learn('a', 3, asOf3);
    memory.load(story.snapshot());
    expect(a().histories).toBeUndefined();
  });

  it('that nobody reads do not grow without bound; a later reading is still brought up to date', () => {
    let long = story;
    for (let version = 3; version < 1010; version += 1)
      long = long.tell('a', deployed(`v${version - 1}`, `v${version}`));
    while (memory.position < long.position) absorb(long);
    memory.learn('a', 3, asOf3);
    expect(a().histories).toBeUndefined();
    memory.learn('a', long.position - 1, noHistories);
    expect(a().histories?.activation_history).toMatchObject([{ generation: long.position }]);
  });
});
