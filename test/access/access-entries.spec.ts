import { describe, expect, it } from '@jest/globals';

import { AccessFileError, parseAccessFile } from '../../src/access/access-entries.js';

const SHA256 = 'a'.repeat(64);
const good = { name: 'ci', role: 'deployer', fleets: ['*'], sha256: SHA256 };

const parse = (value: unknown) =>
  parseAccessFile(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
const fault = (value: unknown): string => {
  try {
    parse(value);
  } catch (error) {
    if (error instanceof AccessFileError) return error.message;
    throw error;
  }
  return '';
};

describe('an access file', () => {
  it('is read as it says', () => {
    const tokens = [
      good,
      {
        ...good,
        name: 'ana',
        sha256: 'b'.repeat(64),
        fleets: ['a', 'b'],
        expires_at: '2030-01-01T00:00:00Z',
      },
    ];
    expect(parse({ tokens }).tokens).toEqual(tokens);
  });

  it('may have a name twice while its secret is being exchanged, but not as two', () => {
    const twin = { ...good, sha256: 'b'.repeat(64) };
    expect(fault({ tokens: [good, twin] })).toBe('');
    const [role, fleets] = [
      { ...twin, role: 'admin' },
      { ...twin, fleets: ['a'] },
    ];
    for (const other of [role, fleets]) {
      expect(fault({ tokens: [good, other] })).toBe(
        'tokens[1].name stands there already with another role or other fleets',
      );
    }
  });

  it.each([
    ['', 'the file is not well-formed JSON'],
    ['[]', 'the file must be a JSON object'],
    [{}, 'tokens must be a list of at least one token'],
    [{ tokens: {} }, 'tokens must be a list of at least one token'],
    [{ tokens: [] }, 'tokens must be a list of at least one token'],
    [{ tokens: [good], admins: [] }, 'admins is not a known field'],
    [{ tokens: [null] }, 'tokens[0] must be an object'],
    [{ tokens: [good, { ...good, name: 'B', sha256: 'b'.repeat(64) }] }, /^tokens\[1\]\.name must match/],
    [{ tokens: [{ ...good, role: 'root' }] }, /^tokens\[0\]\.role must be one of viewer, engine, /],
    [{ tokens: [{ ...good, role: undefined }] }, /^tokens\[0\]\.role must be one of /],
    [
      { tokens: [{ ...good, fleets: [] }] },
      'tokens[0].fleets must be ["*"], or a list of the names of fleets',
    ],
    [{ tokens: [{ ...good, fleets: '*' }] }, /^tokens\[0\]\.fleets must be /],
    [{ tokens: [{ ...good, fleets: ['*', 'a'] }] }, /^tokens\[0\]\.fleets must be /],
    [{ tokens: [{ ...good, fleets: ['A'] }] }, /^tokens\[0\]\.fleets must be /],
    [{ tokens: [{ ...good, fleets: ['a', 'a'] }] }, /^tokens\[0\]\.fleets must be /],
    [{ tokens: [{ ...good, sha256: SHA256.toUpperCase() }] }, /^tokens\[0\]\.sha256 must be /],
    [{ tokens: [{ ...good, sha256: 'lora_secret' }] }, /^tokens\[0\]\.sha256 must be /],
    [{ tokens: [{ ...good, expires_at: 'tomorrow' }] }, /^tokens\[0\]\.expires_at must be a time/],
    [{ tokens: [{ ...good, expires_at: null }] }, /^tokens\[0\]\.expires_at must be a time/],
    [{ tokens: [{ ...good, expires: '2030-01-01T00:00:00Z' }] }, 'tokens[0].expires is not a known field'],
    [{ tokens: [good, { ...good, name: 'other' }] }, 'tokens[1].sha256 stands there already'],
    ['{"tokens":[],"tokens":[]}', 'tokens is given twice'],
    ['{"tokens":[{"name":"a","name":"b"}]}', 'name is given twice'],
    ['{"__proto__":{"tokens":[]}}', 'the file must not have a key __proto__'],
  ])('is refused: %j', (value, message) => {
    expect(fault(value)).toMatch(message);
  });

  it('has every fault named at once, and no value repeated', () => {
    const message = fault({
      tokens: [
        { ...good, role: 'hunter2', sha256: 'hunter3' },
        { ...good, name: '!' },
      ],
    });
    expect(message.split('; ')).toHaveLength(3);
    expect(message).not.toMatch(/hunter/);
  });
});
