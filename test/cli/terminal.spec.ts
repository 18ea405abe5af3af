import { describe, expect, it } from '@jest/globals';
import { PassThrough, Writable } from 'node:stream';

import { terminalOf } from '../../src/cli/terminal.js';

const failing = (code: string): Writable =>
  new Writable({
    write: (_chunk, _encoding, done) => {
      done(Object.assign(new Error(`${code}: told by the disk`), { code }));
    },
  });

describe('what standard output did not take', () => {
  it.each([
    ['a full disk', failing('ENOSPC'), 'ENOSPC: told by the disk'],
    ['a reader who has had enough', failing('EPIPE'), undefined],
    ['nothing', new PassThrough(), undefined],
  ])('%s', async (_, stdout, why) => {
    const terminal = terminalOf({ stdin: new PassThrough(), stdout, stderr: new PassThrough(), env: {} });
    terminal.out('a line');
    terminal.out('another one');
    expect(await terminal.unwritten()).toBe(why);
  });
});
