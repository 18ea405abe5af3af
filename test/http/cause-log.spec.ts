import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';

import { CauseLog, reasonFor } from '../../src/http/cause-log.js';
import { LogUnavailable } from '../../src/lora/domain/errors.js';

const coded = (message: string, code: string): Error => Object.assign(new Error(message), { code });
const unavailable = (message: string, cause?: unknown): LogUnavailable =>
  new LogUnavailable(message, undefined, undefined, cause === undefined ? undefined : { cause });

describe('the cause of an answer that the log could not give', () => {
  let warnings: string[];
  beforeEach(() => {
    warnings = [];
    Logger.overrideLogger({
      log: () => undefined,
      error: () => undefined,
      warn: (message: string) => warnings.push(message),
    });
  });
  afterEach(() => {
    Logger.overrideLogger(true);
  });

  it('is logged once in 10 s for each message', () => {
    const log = new CauseLog();
    const refused = unavailable('The log cannot be read now.', coded('connect refused', 'ECONNREFUSED'));
    for (const now of [0, 1, 9_999]) log.note(refused, now);
    log.note(unavailable('The log cannot be read now.', coded('it hangs', '57014')), 5_000);
    expect(warnings).toStrictEqual([
      'The log cannot be read now. connect refused (ECONNREFUSED)',
      'The log cannot be read now. it hangs (57014)',
    ]);
    log.note(refused, 10_000);
    expect(warnings).toHaveLength(3);
  });

  it('that there is none is not logged', () => {
    new CauseLog().note(unavailable('The log did not answer in time.'), 0);
    expect(warnings).toStrictEqual([]);
  });
});

describe('a reason', () => {
  it('is one line with the code', () => {
    expect(reasonFor(coded('canceling statement\nand more', '57014'))).toBe('canceling statement (57014)');
    expect(reasonFor(new AggregateError([new Error('one'), new Error('two')]))).toBe('one; two');
  });

  it('tells no address and no value', () => {
    expect(reasonFor(new Error('cannot use postgres://me:secret@host/db now'))).toBe('cannot use … now');
    const value = coded('invalid input syntax for type bigint: "secret"', '22P02');
    expect(reasonFor(value)).toBe('The server refused a value (22P02)');
    expect(reasonFor('secret')).toBe('An error of an unknown kind.');
  });
});
