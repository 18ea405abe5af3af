import { expect, it } from '@jest/globals';

import { table } from '../../src/cli/table.js';

it('makes columns as wide as their widest cell, and no line ends with spaces', () => {
  expect(
    table(
      ['A', 'LONG', 'C'],
      [
        ['1', 'x', ''],
        ['longer', '→', 'last'],
        ['', '', ''],
      ],
    ),
  ).toEqual(['A       LONG  C', '1       x', 'longer  →     last', '']);
});
