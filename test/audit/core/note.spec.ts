import { describe, expect, it } from '@jest/globals';

import {
  type Checkpoint,
  KEY_NAME,
  openCheckpoint,
  signCheckpoint,
} from '../../../src/audit/core/checkpoint.js';
import { sha256 } from '../../../src/audit/core/leaf.js';
import {
  generateSignerKey,
  type NoteError,
  openNote,
  readSignerKey,
  readVerifierKey,
  signNote,
} from '../../../src/audit/core/note.js';
import { readReceipts, receiptText } from '../../../src/audit/core/receipt.js';

const faultOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return (error as NoteError).fault;
  }
  return 'none';
};

describe('signed notes, by the vectors of the specification and of its first implementation', () => {
  const exampleKey = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
  const exampleNote =
    'This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n';
  const peterSecret = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz';
  const peterKey = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
  const enochKey = 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop';
  const text =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
  const peterLine =
    '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
  const enochLine =
    '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n';
  const note = `${text}\n${peterLine}${enochLine}`;
  const peter = readVerifierKey(peterKey);
  const enoch = readVerifierKey(enochKey);

  it('opens them, by any key that is known', () => {
    expect(openNote(exampleNote, [readVerifierKey(exampleKey)])).toBe('This is an example message.\n');
    for (const keys of [[peter], [enoch], [enoch, peter]]) expect(openNote(note, keys)).toBe(text);
  });

  it('signs them, byte for byte', () => {
    const key = readSignerKey(peterSecret);
    expect(key.text).toBe(peterSecret);
    expect(key.verifier.text).toBe(peterKey);
    expect(signNote(text, key)).toBe(`${text}\n${peterLine}`);
  });

  it('reads no key of which a byte has changed, or that is of another kind', () => {
    for (let at = 0; at < peterKey.length; at += 1) {
      const changed =
        peterKey.slice(0, at) + String.fromCharCode(peterKey.charCodeAt(at) + 1) + peterKey.slice(at + 1);
      expect(faultOf(() => readVerifierKey(changed))).toBe('malformed');
      expect(faultOf(() => readVerifierKey(peterKey.slice(0, at)))).toBe('malformed');
      expect(faultOf(() => readSignerKey(peterSecret.slice(0, at)))).toBe('malformed');
    }
    for (const key of [
      'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==',
      'PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
    ])
      expect(faultOf(() => readVerifierKey(key))).toBe('malformed');
  });

  it.each([
    ['another text', note.replace('answer', 'Answer'), 'bad-signature'],
    [
      'a known signature that is wrong beside one that is right',
      note.replace('rwz+eBzm', 'rwz+eBzn'),
      'bad-signature',
    ],
    ['no known signature', `${text}\n— Nobody ${Buffer.alloc(68).toString('base64')}\n`, 'unknown-key'],
    [
      'a known name with another key',
      note.replace('rwz+eBz', 'rwz+fBz').replace(peterLine, ''),
      'unknown-key',
    ],
    ['no signature', `${text}\n`, 'malformed'],
    ['no empty line', text + peterLine, 'malformed'],
    ['no last line feed', note.slice(0, -1), 'malformed'],
    ['a carriage return', note.replace('problem,\n', 'problem,\r\n'), 'malformed'],
    ['a hyphen for the dash', note.replace('— Peter', '- Peter'), 'malformed'],
    ['nothing', '', 'malformed'],
  ])('opens none with %s', (_, changed, fault) => {
    expect(faultOf(() => openNote(changed, [peter, enoch]))).toBe(fault);
  });
});

describe('checkpoints', () => {
  const key = generateSignerKey(KEY_NAME);
  const logId = '5e1a8f2c-0a57-4b0e-9c1d-2f4b6a8c0e11';
  const checkpoint: Checkpoint = { logId, size: 42, root: sha256('root'), continues: null };
  const continuing = {
    ...checkpoint,
    continues: { logId: logId.replace('5', '6'), size: 40, root: sha256('old') },
  };

  it('are the three lines of the specification, and one for the log before', () => {
    expect(readSignerKey(key.text).verifier.text).toBe(key.verifier.text);
    const root = sha256('root').toString('base64');
    expect(openNote(signCheckpoint(checkpoint, key), [key.verifier])).toBe(
      `${KEY_NAME}/${logId}\n42\n${root}\n`,
    );
    expect(openNote(signCheckpoint(continuing, key), [key.verifier])).toBe(
      `${KEY_NAME}/${logId}\n42\n${root}\ncontinues 6${logId.slice(1)} 40 ${sha256('old').toString('base64')}\n`,
    );
  });

  it.each([[checkpoint], [continuing], [{ ...checkpoint, size: 0 }]])(
    'come back as they were signed',
    (signed) => {
      expect(openCheckpoint(signCheckpoint(signed, key), [key.verifier])).toEqual(signed);
    },
  );

  it('pass over what a later version adds', () => {
    const text = openNote(signCheckpoint(continuing, key), [key.verifier]);
    expect(openCheckpoint(signNote(`${text}more to say\n`, key), [key.verifier])).toEqual(continuing);
  });

  it.each([
    ['another name than the key', (text: string) => text.replace(KEY_NAME, 'elsewhere')],
    ['a log without an id', (text: string) => text.replace(logId, 'main')],
    ['a size with a zero before it', (text: string) => text.replace('\n42\n', '\n042\n')],
    ['a short root', (text: string) => text.replace(/.=\n/, '=\n')],
    ['an empty line', (text: string) => `${text}\nmore\n`],
    ['no root', (text: string) => text.split('\n').slice(0, 2).join('\n') + '\n'],
  ])('are not one with %s', (_, change) => {
    const text = openNote(signCheckpoint(checkpoint, key), [key.verifier]);
    expect(faultOf(() => openCheckpoint(signNote(change(text), key), [key.verifier]))).toBe('malformed');
  });
});

describe('receipts', () => {
  const one = { log_id: '5e1a8f2c-0a57-4b0e-9c1d-2f4b6a8c0e11', position: 42, leaf: 'ab'.repeat(32) };

  it('are one word each', () => {
    const two = { ...one, position: 43 };
    expect(receiptText(one)).toBe(`${one.log_id}/42/${one.leaf}`);
    expect(readReceipts([one, two].map(receiptText).join(', '))).toEqual([one, two]);
    expect(readReceipts(`${receiptText(one)}\n`)).toEqual([one]);
  });

  it.each([
    '',
    '42',
    receiptText(one).toUpperCase(),
    receiptText({ ...one, position: 0 }),
    `${receiptText(one)}/more`,
  ])('%j is none', (text) => {
    expect(readReceipts(text)).toBeUndefined();
  });
});
