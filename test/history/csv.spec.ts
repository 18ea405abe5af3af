import { describe, expect, it } from '@jest/globals';

import { csvLine } from '../../src/history/csv.js';

describe('a line of CSV', () => {
  it.each([
    ['plain', 'plain'],
    [null, ''],
    [7, '7'],
    [true, 'true'],
    ['a,b', '"a,b"'],
    ['say "no"', '"say ""no"""'],
    ['two\nlines', '"two\nlines"'],
    ['=1+1', `"'=1+1"`],
    ['+49', `"'+49"`],
    ['-x', `"'-x"`],
    ['@SUM(A1)', `"'@SUM(A1)"`],
    ['\t=1', `"'\t=1"`],
    ['\r=1', `"'\r=1"`],
    ['=HYPERLINK("http://x";"y")', `"'=HYPERLINK(""http://x"";""y"")"`],
    ['a=1', 'a=1'],
    ['x;=1+1', `"x;'=1+1"`],
    [' =1', `"' =1"`],
    ['＝1', `"'＝1"`],
  ])('holds %j as %j', (value, cell) => {
    expect(csvLine(['first', value, 'last'])).toBe(`first,${cell},last\r\n`);
  });
});
