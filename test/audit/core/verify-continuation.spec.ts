import { describe, expect, it } from '@jest/globals';

import { verifyContinuation } from '../../../src/audit/core/verify-continuation.js';
import type { LoraCommand } from '../../../src/lora/domain/commands.js';
import { COMMANDS, eventsOf, evidence, inBatches, linesOf, LOG_ID, noteOf, rootAt } from './exported-log.js';

const NEW_ID = '0198f3a0-0000-4000-8000-00000000000b';
const RESTORED = 4;

/** The log as it was, and as it went on after a restore that lost its last three events. */
const old = eventsOf();
const enable: LoraCommand = {
  type: 'EnableLora',
  fleet: 'default',
  adapterVersion: 'v9',
  reason: 'r',
  reference: null,
};
const restored = eventsOf([...COMMANDS.slice(0, RESTORED), enable, enable]);
const adoptions = [{ log_id: NEW_ID, previous_log_id: LOG_ID, position: RESTORED }];
const older = linesOf(old);
const newer = linesOf(restored, { log_id: NEW_ID, adoptions });

const oldNote = noteOf(old, 6);
const continues = { logId: LOG_ID, size: RESTORED, root: rootAt(old, RESTORED) };
const newNote = noteOf(restored, 5, { logId: NEW_ID, continues });
const both = evidence([oldNote, newNote]);

describe('a log, and the one that goes on after a restore', () => {
  it('are both as they were signed, and what was lost is named', async () => {
    const verdict = await verifyContinuation(inBatches(newer), inBatches(older), both);
    expect(verdict).toMatchObject({
      outcome: 'unaltered',
      newer: { outcome: 'unaltered', covered: 5 },
      older: { outcome: 'unaltered', covered: 6 },
      from: RESTORED,
      lost: { events: 3 },
      why: [],
    });
    expect(verdict.lost.first.map(({ position, type, fleet }) => `${position} ${type} ${fleet}`)).toEqual([
      '5 LoraRolledBack default',
      '6 AdapterDeployed canary',
      '7 LoraEnabled default',
    ]);
  });

  it('hold the receipts of both', async () => {
    const receipt = (logId: string, from: typeof old, position: number) => ({
      log_id: logId,
      position,
      leaf: from[position - 1]?.leaf_hash ?? '',
    });
    const receipts = [receipt(LOG_ID, old, 2), receipt(LOG_ID, old, 6), receipt(NEW_ID, restored, 6)];
    const verdictOf = (known: typeof receipts) =>
      verifyContinuation(inBatches(newer), inBatches(older), evidence([oldNote, newNote], known));
    expect(await verdictOf(receipts)).toMatchObject({ outcome: 'unaltered' });
    const wrong = await verdictOf([receipt(LOG_ID, restored, 6)]);
    expect(wrong).toMatchObject({
      outcome: 'altered',
      older: { position: 6 },
      newer: { outcome: 'unaltered' },
    });
  });

  it('are unknown together when no checkpoint says so', async () => {
    const alone = noteOf(restored, 5, { logId: NEW_ID });
    const verdict = await verifyContinuation(inBatches(newer), inBatches(older), evidence([oldNote, alone]));
    expect(verdict).toMatchObject({ outcome: 'unknown', from: RESTORED, lost: { events: 3 } });
    expect(verdict.why).toEqual([
      'No checkpoint says that the one log continues the other: only the export does.',
    ]);
    const foreign = linesOf(restored, { log_id: NEW_ID });
    const none = await verifyContinuation(inBatches(foreign), inBatches(older), evidence([oldNote, alone]));
    expect(none).toMatchObject({ outcome: 'unknown', from: null, lost: { events: 0 } });
    expect(none.why).toEqual([`Log ${NEW_ID} does not say that it continues log ${LOG_ID}.`]);
  });

  it('are altered when they part before that place', async () => {
    const changed = eventsOf(COMMANDS, (body, position) =>
      position === 2 ? { ...body, source: 'x' } : body,
    );
    const verdict = await verifyContinuation(
      inBatches(newer),
      inBatches(linesOf(changed)),
      evidence([newNote]),
    );
    expect(verdict).toMatchObject({
      outcome: 'altered',
      newer: { outcome: 'unaltered' },
      older: { position: 2, why: ['The newer export has another event there'] },
    });
  });

  it('may be told by an export of the old one from before that place', async () => {
    const early = linesOf(old.slice(0, 3));
    const known = evidence([noteOf(old, 3), newNote]);
    expect(await verifyContinuation(inBatches(newer), inBatches(early), known)).toMatchObject({
      outcome: 'unaltered',
      lost: { events: 0 },
    });
  });

  it('are unknown when the older one cannot be read', async () => {
    for (const lines of [[], [{ record: 'x' }]]) {
      const verdict = await verifyContinuation(inBatches(newer), inBatches(lines), evidence([newNote]));
      expect(verdict).toMatchObject({ outcome: 'unknown', older: { outcome: 'unknown', log_id: null } });
    }
  });
});

describe('two exports of one log', () => {
  const grown = eventsOf([...COMMANDS, enable]);

  it('are one and the same up to the end of the earlier one', async () => {
    const verdict = await verifyContinuation(
      inBatches(linesOf(grown)),
      inBatches(older),
      evidence([oldNote]),
    );
    expect(verdict).toMatchObject({ outcome: 'unaltered', from: null, lost: { events: 0 } });
  });

  it('show a change that no checkpoint covers', async () => {
    const rewritten = eventsOf([...COMMANDS, enable], (body, at) =>
      at === 7 ? { ...body, source: 'x' } : body,
    );
    const verdict = await verifyContinuation(
      inBatches(linesOf(rewritten)),
      inBatches(older),
      evidence([oldNote]),
    );
    expect(verdict).toMatchObject({
      outcome: 'altered',
      newer: { outcome: 'unaltered' },
      older: { position: 7 },
    });
    const cut = await verifyContinuation(
      inBatches(linesOf(old.slice(0, 6))),
      inBatches(older),
      evidence([oldNote]),
    );
    expect(cut).toMatchObject({ outcome: 'altered', newer: { position: 7 } });
  });
});
