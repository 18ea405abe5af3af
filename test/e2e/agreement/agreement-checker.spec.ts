import { describe, expect, it } from '@jest/globals';

import { check } from '../../support/agreement-checker.js';
import {
  ask,
  CLEAN,
  command,
  logOf,
  PLAN,
  read,
  stream,
  withCommand,
  withEntry,
} from '../../support/agreement-handmade.js';
import type { History } from '../../support/agreement-history.js';

const kindsOf = (change: Partial<History>): Set<string | undefined> =>
  new Set(check({ ...CLEAN, ...change }).violations.map((violation) => violation.split(':')[0]));

describe('a clean history', () => {
  it('passes, and everything in it was looked at', () => {
    const { violations, checked } = check(CLEAN);
    expect(violations).toEqual([]);
    expect(checked).toMatchObject({
      events: 4,
      'commands acknowledged': 4,
      'commands behind kills': 2,
      'linearizable reads': 2,
      'reads checked for going back': 2,
      streams: 1,
      'states streamed': 3,
    });
  });

  it.each([
    ['a refusal', command('x', ask('deploy', 'v9'), '14..16 409 kill-switch-active')],
    ['a kill that came in', command('x', ask('enable'), '6..13 409 killed-meanwhile')],
    ['a kill that a slow replica missed', command('x', ask('enable'), '14..116 409 killed-meanwhile')],
    ['a wrong If-Match', command('x', ask('enable', null, 1), '40..41 412 generation-mismatch')],
    ['a step that was taken', command('x', ask('rollback'), '26..33 412 generation-mismatch')],
    ['a fleet not there yet', command('x', ask('disable'), '-9..-2 404 unknown-fleet')],
    ['nothing happened', command('x', ask('deploy'), '14..16 503 none')],
    ['an unknown outcome', command('kill', ask('disable'), '5..9 503 unknown', '10..12 200 @2 replayed')],
    ['none, then done', command('kill', ask('disable'), '5..7 503 none', '8..12 200 @2')],
    ['no answer, then done', command('kill', ask('disable'), '5..9 0', '10..12 200 @2 replayed')],
    [
      'no answer, refused, and done late',
      command('deploy', ask('deploy', 'v3'), '15..18 0', '19..21 409 kill-switch-active'),
    ],
  ])('passes with %s', (_, { key, ...more }) => {
    const commands = [...CLEAN.commands.filter((each) => each.key !== key), { key, ...more }];
    expect(check({ ...CLEAN, commands }).violations).toEqual([]);
  });

  it('passes with an old state of another process that promises little', () => {
    const old = read(40, 41, 2, { kind: 'eventual', replica: 'two' });
    expect(kindsOf({ reads: [...CLEAN.reads, old] })).toEqual(new Set());
  });

  it('passes with a new stream that begins with what its engine knows', () => {
    const streams = [...CLEAN.streams, stream(40, [41, 4, 'v3'])];
    expect(kindsOf({ streams })).toEqual(new Set());
  });
});

describe('a violation of the log', () => {
  it.each<[string, string, Partial<History>]>([
    ['a hole in the positions', 'gap', withEntry(4, { position: 5 })],
    ['times that do not rise', 'time', withEntry(4, { recordedAt: CLEAN.log[2]?.recordedAt })],
    ['a stored state that its events do not give', 'fold', withEntry(4, { state: CLEAN.log[0]?.state })],
    ['a stored state that is missing', 'fold', withEntry(4, { state: null })],
    ['a key that is there twice', 'twice', { log: logOf(...PLAN, ['deploy', ask('deploy', 'v3'), 40]) }],
    [
      'a command before what was known before it was sent',
      'order',
      { ...withCommand('kill', ask('disable'), '24..26 200 @2'), reads: [read(22, 23, 3)] },
    ],
    [
      'a command decided before a kill that it stands behind',
      'kill',
      { log: logOf(...PLAN.slice(0, 2), ['enable', ask('enable', 'v2'), 20, 8], ...PLAN.slice(3)) },
    ],
  ])('is found: %s', (_, kind, change) => {
    expect(kindsOf(change)).toContain(kind);
  });
});

describe('a violation of what commands were told', () => {
  const deploy = (...tries: string[]) => withCommand('deploy', ask('deploy', 'v3'), ...tries);
  const kill = (...tries: string[]) => withCommand('kill', ask('disable'), ...tries);

  it.each<[string, string, Partial<History>]>([
    ['an answer that nobody foresaw', 'answer', withCommand('x', ask('disable'), '14..16 500')],
    ['acknowledged and not there', 'lost', withCommand('x', ask('disable'), '14..16 200 @2')],
    ['an answer with another generation', 'answer', deploy('25..32 200 @3')],
    ['refused and there', 'ghost', deploy('25..32 409 kill-switch-active')],
    ['told `none` and there', 'ghost', deploy('25..32 503 none')],
    ['refused at last and there', 'ghost', deploy('15..18 503 unknown', '19..21 409 kill-switch-active')],
    ['an outcome that nobody settled', 'unsettled', deploy('25..32 503 unknown')],
    ['no answer, and nobody asked again', 'unsettled', deploy('25..32 0')],
    ['told `none`, and seen before it was sent again', 'none', deploy('25..29 503 none', '35..37 200 @4')],
    ['told `none`, and then a repeat', 'none', kill('5..7 503 none', '8..12 200 @2 replayed')],
    ['refused, and then a repeat', 'none', kill('5..7 409 killed-meanwhile', '8..12 200 @2 replayed')],
  ])('is found: %s', (_, kind, change) => {
    expect(kindsOf(change)).toContain(kind);
  });

  it.each([
    ['409 while it was enabled', command('x', ask('deploy', 'v9'), '40..41 409 kill-switch-active')],
    ['409 for a kill that was there before', command('x', ask('enable'), '14..16 409 killed-meanwhile')],
    [
      '412 for the current generation',
      command('x', ask('enable', null, 4), '40..41 412 generation-mismatch'),
    ],
    ['412 for a step that nobody took', command('x', ask('rollback'), '40..41 412 generation-mismatch')],
    ['412 for a step after the answer', command('x', ask('rollback'), '13..14 412 generation-mismatch')],
    ['404 for a fleet that is there', command('x', ask('disable'), '40..41 404 unknown-fleet')],
  ])('is found: a refusal without a reason, %s', (_, refused) => {
    expect(kindsOf({ commands: [...CLEAN.commands, refused] })).toEqual(new Set(['refusal']));
  });
});

describe('a violation of what readers were shown', () => {
  const another = { enabled: true, version: 'v2' };

  it.each<[string, string, Partial<History>]>([
    ['a generation of another fleet', 'read', { reads: [read(13, 14, 2, { fleet: 'other' })] }],
    ['another state than it was', 'read', { reads: [read(33, 34, 4, { shown: another })] }],
    ['older than an acknowledged command', 'stale', { reads: [read(33, 34, 3)] }],
    ['older than another read', 'stale', { reads: [read(28, 29, 4), read(29.5, 31, 3)] }],
    ['older than a stream', 'stale', { reads: [read(31.5, 31.8, 3)] }],
    [
      'a process that goes back, though it promises little',
      'back',
      { reads: [read(33, 34, 4), read(35, 36, 3, { kind: 'eventual' })] },
    ],
    ['a state streamed that never was', 'stream', { streams: [stream(2, [3, 1, null], [31, 4, 'v3'])] }],
    ['a stream that begins too old', 'stream stale', { streams: [stream(24, [25, 2, null], [31, 4, 'v3'])] }],
    ['a stream that repeats', 'stream back', { streams: [stream(2, [31, 4, 'v3'], [32, 4, 'v3'])] }],
    [
      'a stream that is older than the one before',
      'stream back',
      { streams: [stream(2, [31, 4, 'v3']), stream(21, [32, 3, 'v2']), stream(40, [41, 4, 'v3'])] },
    ],
    ['an engine left behind', 'stream behind', { streams: [stream(2, [3, 1, 'v1'], [11, 2, null])] }],
  ])('is found: %s', (_, kind, change) => {
    expect(kindsOf(change)).toContain(kind);
  });
});
