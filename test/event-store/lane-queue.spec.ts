import { beforeEach, describe, expect, it } from '@jest/globals';

import { BATCH_MAX, LaneQueue, type Pending } from '../../src/event-store/lane-queue.js';
import type { LoraCommand } from '../../src/lora/domain/commands.js';
import { deploy, disable, enable, initialize, rollBack } from '../lora/domain/given.js';
import { submission } from './submissions.js';

let queue: LaneQueue;
let arrivals = 0;
let names: Map<Pending, string>;

beforeEach(() => {
  queue = new LaneQueue();
  arrivals = 0;
  names = new Map();
});

const COMMANDS: Readonly<Record<string, LoraCommand>> = {
  kill: disable(),
  make: initialize(true, null),
  enable: enable(),
  deploy: deploy('v1'),
  rollback: rollBack(),
};

/** A command that arrives now, not yet in the queue. */
function arriving(kind: string): Pending {
  const command = COMMANDS[kind];
  if (!command) throw new Error(`There is no command ${kind}.`);
  // What a kill can overtake was confirmed under a generation.
  const confirmed = kind === 'kill' || kind === 'make' ? null : { position: 1, epoch: 1 };
  const pending: Pending = {
    submission: submission('a', command, { confirmed }),
    prepared: new Map(),
    arrival: (arrivals += 1),
    conflicts: 0,
    alone: false,
    uncertain: false,
    settled: false,
    settle: () => undefined,
  };
  names.set(pending, `${kind} ${arrivals}`);
  return pending;
}

/** Commands that arrive one after the other and wait. */
function waiting(...kinds: string[]): Pending[] {
  const all = kinds.map(arriving);
  for (const each of all) queue.add([each]);
  return all;
}

const many = (count: number, kind: string): string[] => Array.from({ length: count }, () => kind);
const named = (batch: readonly Pending[]): (string | undefined)[] => batch.map((each) => names.get(each));
const kinds = (batch: readonly Pending[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const name of named(batch)) {
    const [kind = ''] = (name ?? '').split(' ');
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
};

describe('what waits', () => {
  it('is nothing at first', () => {
    expect(queue.length).toBe(0);
    expect(queue.takeBatch()).toEqual([]);
    expect(queue.takeKills([])).toEqual([]);
  });

  it('is counted', () => {
    waiting('enable', 'make');
    expect(queue.length).toBe(2);
    const [kill] = waiting('kill');
    expect(queue.length).toBe(3);
    if (kill) queue.remove(kill);
    expect(queue.length).toBe(2);
  });

  it('has its place by its arrival, also when it has been tried and comes back', () => {
    waiting(...many(5, 'enable'));
    const tried = queue.takeBatch();
    waiting('enable');
    const [one, two, three] = tried;
    if (!one || !two || !three) throw new Error('Not all were taken.');
    queue.add([three, one]);
    queue.add([two]);
    expect(named(queue.takeBatch())).toEqual(['enable 1', 'enable 2', 'enable 3', 'enable 6']);
  });

  it('is nothing that has its answer', () => {
    const [answered, open] = [arriving('kill'), arriving('enable')];
    queue.add([{ ...answered, settled: true }, open]);
    expect(queue.length).toBe(1);
    expect(queue.takeBatch()).toEqual([open]);
  });

  it('is taken once', () => {
    waiting('kill', 'enable');
    expect(queue.takeBatch()).toHaveLength(2);
    expect([queue.length, queue.takeBatch(), queue.takeKills([])]).toEqual([0, [], []]);
  });
});

describe('the next batch', () => {
  it('has kills and the making of fleets in the order of their arrival, then what a kill can overtake', () => {
    waiting('enable', 'make', 'kill', 'deploy', 'rollback', 'kill', 'make', 'enable');
    expect(named(queue.takeBatch())).toEqual([
      'make 2',
      'kill 3',
      'kill 6',
      'make 7',
      'enable 1',
      'deploy 4',
      'rollback 5',
      'enable 8',
    ]);
  });

  it('is full at 64, and the rest waits for the one after it', () => {
    expect(BATCH_MAX).toBe(64);
    waiting(...many(70, 'deploy'));
    expect(named(queue.takeBatch())).toEqual(many(64, 'deploy').map((kind, i) => `${kind} ${i + 1}`));
    expect(named(queue.takeBatch())).toEqual(many(6, 'deploy').map((kind, i) => `${kind} ${i + 65}`));
  });

  it.each([
    ['all kills when nothing else waits', 0, { kill: 64 }],
    ['a place for the one other', 1, { kill: 63, enable: 1 }],
    ['a place for each of seven others', 7, { kill: 57, enable: 7 }],
    ['eight places for many others', 40, { kill: 56, enable: 8 }],
  ])('of a storm of kills has %s', (_, others, expected) => {
    waiting(...many(100, 'kill'), ...many(others, 'enable'));
    const batch = queue.takeBatch();
    expect(kinds(batch)).toEqual(expected);
    // The oldest of each, and nobody is lost.
    const kills = named(batch).slice(0, expected.kill);
    expect(kills).toEqual(many(expected.kill, 'kill').map((kind, i) => `${kind} ${i + 1}`));
    if (others > 0) expect(named(batch)[expected.kill]).toBe('enable 101');
    expect(queue.length).toBe(100 + others - 64);
  });

  it('has every kill when there is place, however late it came, and fills up with the oldest others', () => {
    waiting(...many(100, 'deploy'), 'kill', 'kill');
    const batch = named(queue.takeBatch());
    expect(batch.slice(0, 3)).toEqual(['kill 101', 'kill 102', 'deploy 1']);
    expect(batch).toHaveLength(64);
    expect(batch.at(-1)).toBe('deploy 62');
  });

  it('is one command alone after it was in a batch that failed: kills first, then in the order of arrival', () => {
    const [first, second] = waiting('enable', 'kill', 'deploy', 'kill');
    const fourth = [...names.keys()][3];
    for (const each of [first, second, fourth]) if (each) each.alone = true;
    expect(named(queue.takeBatch())).toEqual(['kill 2']);
    expect(named(queue.takeBatch())).toEqual(['kill 4']);
    expect(named(queue.takeBatch())).toEqual(['enable 1']);
    expect(named(queue.takeBatch())).toEqual(['deploy 3']);
  });

  it('is kills that wait, before what has to go alone, and one of that after them, in turns', () => {
    const [first, second] = waiting('deploy', 'deploy', 'enable');
    for (const each of [first, second]) if (each) each.alone = true;
    waiting('kill', 'kill');
    expect(named(queue.takeBatch())).toEqual(['kill 4', 'kill 5']);
    waiting('kill');
    expect(named(queue.takeBatch())).toEqual(['deploy 1']);
    expect(named(queue.takeBatch())).toEqual(['kill 6']);
    expect(named(queue.takeBatch())).toEqual(['deploy 2']);
    expect(named(queue.takeBatch())).toEqual(['enable 3']);
  });

  it('is never a storm of kills alone: each that has to go alone has its turn', () => {
    const tried = waiting(...many(3, 'deploy'));
    for (const each of tried) each.alone = true;
    const batches = Array.from({ length: 6 }, () => {
      waiting(...many(70, 'kill'));
      return kinds(queue.takeBatch());
    });
    expect(batches).toEqual([
      { kill: 64 },
      { deploy: 1 },
      { kill: 64 },
      { deploy: 1 },
      { kill: 64 },
      { deploy: 1 },
    ]);
  });
});

describe('a batch that is topped up', () => {
  it('keeps what it has, in the one order, and takes what has a place', () => {
    waiting('deploy', 'kill');
    const batch = queue.takeBatch();
    waiting('enable', 'kill', 'make');
    expect(named(queue.fill(batch))).toEqual(['kill 2', 'kill 4', 'make 5', 'deploy 1', 'enable 3']);
    expect(queue.length).toBe(0);
  });

  it('is never more than 64, and never without what it had', () => {
    waiting(...many(60, 'deploy'));
    const batch = queue.takeBatch();
    waiting(...many(10, 'kill'), ...many(10, 'enable'));
    const filled = queue.fill(batch);
    expect(filled).toHaveLength(64);
    expect(new Set(filled).size).toBe(64);
    for (const each of batch) expect(filled).toContain(each);
    expect(queue.length).toBe(16);
  });

  it('gives its places to kills first; the places for others are taken already', () => {
    waiting(...many(60, 'deploy'));
    const batch = queue.takeBatch();
    waiting(...many(10, 'enable'), ...many(10, 'kill'));
    expect(kinds(queue.fill(batch))).toEqual({ deploy: 60, kill: 4 });
  });

  it('still leaves places to others when it holds nothing but kills', () => {
    waiting(...many(50, 'kill'));
    const batch = queue.takeBatch();
    waiting(...many(20, 'kill'), ...many(20, 'enable'));
    expect(kinds(queue.fill(batch))).toEqual({ kill: 56, enable: 8 });
  });

  it('that is full takes nothing', () => {
    waiting(...many(64, 'enable'));
    const batch = queue.takeBatch();
    waiting('kill', 'enable');
    expect(queue.fill(batch)).toHaveLength(64);
    expect(queue.length).toBe(2);
  });

  it('does not take what has to go alone', () => {
    waiting('enable');
    const batch = queue.takeBatch();
    const [kill, deploys] = waiting('kill', 'deploy', 'enable');
    for (const each of [kill, deploys]) if (each) each.alone = true;
    expect(named(queue.fill(batch))).toEqual(['enable 1', 'enable 4']);
    expect(queue.length).toBe(2);
  });
});

describe('the kills', () => {
  it('are taken without the rest, in the order of their arrival', () => {
    waiting('enable', 'kill', 'make', 'kill');
    expect(named(queue.takeKills([]))).toEqual(['kill 2', 'kill 4']);
    expect(named(queue.takeBatch())).toEqual(['make 3', 'enable 1']);
  });

  it('are never more than a batch', () => {
    waiting(...many(70, 'kill'));
    expect(queue.takeKills([])).toHaveLength(64);
    expect(queue.length).toBe(6);
  });

  it('go with those that a batch holds up, and never more of both than a batch', () => {
    waiting('kill', 'enable', 'kill');
    const held = queue.takeBatch().slice(0, 2);
    waiting('kill', 'enable');
    expect(named(queue.takeKills(held))).toEqual(['kill 1', 'kill 3', 'kill 4']);
    waiting(...many(70, 'kill'));
    expect(queue.takeKills(held)).toHaveLength(64);
    expect(queue.length).toBe(1 + 8);
  });

  it('that have to go alone go alone, after those that need not', () => {
    const [first, , third] = waiting('kill', 'kill', 'kill', 'enable');
    for (const each of [first, third]) if (each) each.alone = true;
    expect(named(queue.takeKills([]))).toEqual(['kill 2']);
    expect(named(queue.takeKills([]))).toEqual(['kill 1']);
    expect(named(queue.takeKills([]))).toEqual(['kill 3']);
    expect(queue.takeKills([])).toEqual([]);
  });

  it('do not join one that has to go alone and is held up', () => {
    const [lonely] = waiting('kill');
    if (lonely) lonely.alone = true;
    const held = queue.takeBatch();
    waiting('kill');
    expect(named(queue.takeKills(held))).toEqual(['kill 1']);
    expect(queue.length).toBe(1);
  });
});
