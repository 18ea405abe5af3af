import { describe, expect, it } from '@jest/globals';

import { generateSignerKey } from '../../../src/audit/core/note.js';
import {
  COMMANDS,
  eventsOf,
  evidence,
  type Line,
  linesOf,
  LOG_ID,
  noteOf,
  rootAt,
  verify,
} from './exported-log.js';

const events = eventsOf();
const whole = linesOf(events);
const note = noteOf(events, 5);
const OTHER_ID = '0198f3a0-0000-4000-8000-00000000000b';

/** The whole export with a part of one line changed. */
function changed(index: number, change: Line): Line[] {
  return whole.map((line, at) => (at === index ? { ...line, ...change } : line));
}

describe('a log that nobody touched', () => {
  it('is unaltered up to the newest checkpoint', async () => {
    const verdict = { log_id: LOG_ID, events: 7, position: null, why: [] };
    expect(await verify(whole, evidence([note]))).toEqual({ ...verdict, outcome: 'unaltered', covered: 5 });
    const notes = [7, 1, 4].map((size) => noteOf(events, size));
    expect(await verify(whole, evidence(notes))).toEqual({ ...verdict, outcome: 'unaltered', covered: 7 });
  });

  it('holds its receipts', async () => {
    const receipts = events.map(({ position, leaf_hash: leaf }) => ({ log_id: LOG_ID, position, leaf }));
    expect(await verify(whole, evidence([note], receipts))).toMatchObject({ outcome: 'unaltered' });
  });

  it('may have lines of records that are not known, and members', async () => {
    const lines = [
      ...changed(3, { more: 1 }).slice(0, -1),
      { record: 'roll' },
      { record: 'x' },
      whole.at(-1) ?? {},
    ];
    expect(await verify(lines, evidence([note]))).toMatchObject({ outcome: 'unaltered' });
  });
});

describe('nothing can be told', () => {
  const cases: [string, readonly (Line | string)[], string[], string][] = [
    ['without a checkpoint', whole, [], 'No checkpoint vouches for any of it.'],
    ['from an empty file', [], [note], 'The file is empty.'],
    ['from a file that was cut', whole.slice(0, -1), [note], 'It has no end line: it was cut.'],
    [
      'from a file that was cut in a line',
      [...whole.slice(0, 3), '{"rec'],
      [note],
      'Line 4 is not a JSON object.',
    ],
    ['from another file', ['position,type'], [note], 'Line 1 is not a JSON object.'],
    [
      'from another format',
      changed(0, { format: 'x' }),
      [note],
      'does not say that it is a lora-log-export/1',
    ],
    ['without adoptions', changed(0, { adoptions: null }), [note], 'no log_id, no position or no adoptions'],
    ['with a broken adoption', changed(0, { adoptions: [null] }), [note], 'an adoption without log_id'],
    [
      'with an adoption from before the first event, which no checkpoint would be held against',
      changed(0, { adoptions: [{ log_id: LOG_ID, previous_log_id: OTHER_ID, position: -1 }] }),
      [note, noteOf(events, 6, { logId: OTHER_ID, root: Buffer.alloc(32) })],
      'an adoption without log_id',
    ],
    [
      'with two adoptions under one name',
      changed(0, {
        adoptions: [4, 0].map((at) => ({ log_id: LOG_ID, previous_log_id: OTHER_ID, position: at })),
      }),
      [note],
      'two adoptions under one log_id',
    ],
    ['from what follows the end', [...whole, {}], [note], 'Line 10 stands after the end.'],
    ['without a position', changed(2, { position: '2' }), [note], 'An event has no position.'],
    ['without a body', changed(2, { body: null }), [note], 'The event at position 2 has no body.'],
    ['without columns', changed(2, { columns: null }), [note], 'The event at position 2 has no columns.'],
    ['by what is no checkpoint', whole, [note, 'x'], 'c2: This is not a signed note'],
    [
      'by the checkpoint of another key',
      whole,
      [noteOf(events, 5, {}, generateSignerKey('lora-control-plane'))],
      'c1: The note is not signed with',
    ],
    ['by a forged checkpoint', whole, [note.replace('\n5\n', '\n4\n')], 'c1: The signature of'],
    [
      'by the checkpoint of another log',
      whole,
      [noteOf(events, 5, { logId: OTHER_ID })],
      `is of log ${OTHER_ID}`,
    ],
  ];

  it.each(cases)('%s', async (_, lines, notes, why) => {
    const verdict = await verify(lines, evidence(notes));
    expect(verdict).toMatchObject({ outcome: 'unknown', position: null });
    expect(verdict.why.join('\n')).toContain(why);
  });

  it('from a part of the log, unless something is wrong in it', async () => {
    const part = (from: readonly Line[]): Line[] => {
      const of = [from[0], from[3], from[6]].map((line) => line ?? {});
      return [{ ...of[0], fleet: 'default' }, ...of.slice(1), { record: 'end', events: 2 }];
    };
    expect(await verify(part(whole), evidence([note]))).toMatchObject({
      outcome: 'unknown',
      events: 2,
      covered: 0,
    });
    expect(
      await verify(part(changed(6, { recorded_at: events[0]?.recorded_at })), evidence([note])),
    ).toMatchObject({
      outcome: 'altered',
      position: 6,
    });
    const receipts = [
      { log_id: LOG_ID, position: 4, leaf: '00'.repeat(32) },
      { log_id: LOG_ID, position: 6, leaf: '00'.repeat(32) },
    ];
    expect(await verify(part(whole), evidence([], receipts))).toMatchObject({
      outcome: 'altered',
      position: 6,
    });
  });

  it('about states of a newer version', async () => {
    const newer = eventsOf(COMMANDS, (body, position) =>
      position === 4 ? { ...body, schema_version: 2 } : body,
    );
    const verdict = await verify(linesOf(newer), evidence([noteOf(newer, 7)]));
    expect(verdict).toMatchObject({ outcome: 'unknown', covered: 7 });
    expect(verdict.why).toEqual([
      'The states of fleet default from position 4 on are of a newer version than this.',
    ]);
  });
});

describe('the first that is wrong is named', () => {
  const other = eventsOf(COMMANDS, (body, position) => (position === 5 ? { ...body, source: 'x' } : body));
  const cases: [string, number, string, readonly (Line | string)[], string[]][] = [
    ['a time of another form', 2, 'is not a time of the log', changed(2, { recorded_at: 'noon' }), []],
    ['an event that comes twice', 3, 'after position 3', [...whole.slice(0, 4), ...whole.slice(3)], []],
    ['the end counts other events', 8, 'counts 8 events, 7 are there', changed(8, { events: 8 }), []],
    ['the head stands lower', 8, 'stands at 6', changed(0, { position: 6 }), []],
    ['a fleet that was never made', 2, 'begins with one LoraInitialized', linesOf(eventsOfDouble()), []],
    ['between two checkpoints', 4, 'one of 4 to 6', linesOf(other), [noteOf(events, 3), noteOf(events, 6)]],
    ['two checkpoints of one size', 6, 'has another root', whole, [noteOf(events, 6), noteOf(other, 6)]],
    ['a checkpoint of more events', 8, 'the log ends at 7. Checkpoint c1 of 9', whole, [longer(9)]],
  ];

  it.each(cases)('%s', async (_, position, why, lines, notes) => {
    const verdict = await verify(lines, evidence(notes));
    expect(verdict).toMatchObject({ outcome: 'altered', position });
    expect(verdict.why.join('\n')).toContain(why);
  });

  it.each(['null', '[]', '{}', '"x"', '{"type":"X"}', 'no JSON'])('a body that is %s', async (body) => {
    const { position, recorded_at } = events[1] ?? { position: 0, recorded_at: '' };
    const { leafHash } = await import('../../../src/audit/core/leaf.js');
    const leaf_hash = leafHash(position, recorded_at, body).toString('hex');
    const verdict = await verify(changed(2, { body, leaf_hash }), evidence([note]));
    expect(verdict).toMatchObject({ outcome: 'altered', position: 2 });
  });

  it.each([
    ['too deep to be shown', `${'['.repeat(20_000)}${']'.repeat(20_000)}`, 'something too deep'],
    ['of a megabyte', JSON.stringify('x'.repeat(1_000_000)), 'xxx…'],
  ])('a state %s', async (_, state, why) => {
    const forged = JSON.stringify({ ...whole[3], state: 'STATE' }).replace('"STATE"', () => state);
    const verdict = await verify([...whole.slice(0, 3), forged, ...whole.slice(4)], evidence([note]));
    expect(verdict).toMatchObject({ outcome: 'altered', position: 3 });
    expect(verdict.why.join('\n')).toContain(why);
    expect(verdict.why.join('\n').length).toBeLessThan(5000);
  });

  it('a receipt of what is not there', async () => {
    const leaf = '00'.repeat(32);
    const verdictOf = (position: number) => verify(whole, evidence([], [{ log_id: LOG_ID, position, leaf }]));
    expect(await verdictOf(3)).toMatchObject({ outcome: 'altered', position: 3 });
    expect(await verdictOf(9)).toMatchObject({ outcome: 'altered', position: 8 });
  });
});

describe('a log that was adopted after a restore', () => {
  const adopted = { adoptions: [{ log_id: LOG_ID, previous_log_id: OTHER_ID, position: 4 }] };
  const lines = linesOf(events, adopted);
  const before = (size: number): string => noteOf(events, size, { logId: OTHER_ID });
  const continues = { logId: OTHER_ID, size: 4, root: rootAt(events, 4) };

  it('is held against checkpoints of before and after', async () => {
    const notes = [before(3), before(4), noteOf(events, 6, { continues })];
    expect(await verify(lines, evidence(notes))).toMatchObject({ outcome: 'unaltered', covered: 6 });
  });

  it('has lost what was signed after the place from which it goes on', async () => {
    const verdict = await verify(lines, evidence([before(6)]));
    expect(verdict).toMatchObject({ outcome: 'altered', position: 5 });
    expect(verdict.why[0]).toContain(`this log continues log ${OTHER_ID} from position 4`);
    const receipt = { log_id: OTHER_ID, position: 5, leaf: events[4]?.leaf_hash ?? '' };
    expect(await verify(lines, evidence([], [receipt]))).toMatchObject({ outcome: 'altered', position: 5 });
  });

  it('must say what its checkpoint says', async () => {
    const wrong = noteOf(events, 6, { continues: { ...continues, root: rootAt(events, 3) } });
    expect(await verify(lines, evidence([wrong]))).toMatchObject({ outcome: 'altered', position: 1 });
    const verdict = await verify(whole, evidence([noteOf(events, 6, { continues })]));
    expect(verdict).toMatchObject({ outcome: 'altered', position: 5 });
    expect(verdict.why[0]).toContain('the export does not know of that');
  });
});

/** The second event is of a fleet that nobody made. */
function eventsOfDouble(): ReturnType<typeof eventsOf> {
  return eventsOf(COMMANDS.slice(0, 2), (body, position) =>
    position === 2 ? { ...body, type: 'AdapterDeployed' } : body,
  ).map((event) =>
    event.position === 2
      ? { ...event, columns: { ...(event.columns as Line), type: 'AdapterDeployed' } }
      : event,
  );
}

function longer(size: number): string {
  return noteOf(events, 7, { size });
}
