import { describe, expect, it } from '@jest/globals';

import { REFUSAL_CODES } from '../../src/access/refusals.js';
import { againWords } from '../../src/cli/command-options.js';
import { fleetName, query, seconds, urls } from '../../src/cli/options.js';
import { CODES } from '../../src/cli/refusals.js';

describe('options', () => {
  it('take several addresses, with or without http', () => {
    expect(urls(' localhost:8003, https://lora.example/x/ ,').map(({ href }) => href)).toEqual([
      'http://localhost:8003/',
      'https://lora.example/x/',
    ]);
    for (const bad of ['', ' , ', 'ftp://x', 'http://', 'a b']) expect(() => urls(bad)).toThrow(/must be/);
  });

  it('take whole seconds', () => {
    expect(seconds('10')).toBe(10);
    for (const bad of ['0', '-1', '1.5', '1e1', '3601', '', 'long']) expect(() => seconds(bad)).toThrow();
  });

  it('take the name of one fleet', () => {
    expect(fleetName('canary-2')).toBe('canary-2');
    for (const bad of ['*', 'Canary', '', '-a', 'a b', 'a'.repeat(64)])
      expect(() => fleetName(bad)).toThrow();
  });

  it('make a query of what is given', () => {
    expect(query({ fleet: undefined })).toBe('');
    expect(query({ fleet: '*', reason: 'a b&c' })).toBe('?fleet=*&reason=a+b%26c');
  });

  it('know every code of a refusal', () => {
    expect([...CODES].sort()).toEqual([...REFUSAL_CODES].sort());
  });

  it('can be typed again to the letter', () => {
    const options = {
      fleet: 'canary',
      reason: "it's $bad",
      reference: 'INC-7',
      ifMatch: 'ab12cd34-5',
      key: 'k',
    };
    expect(againWords('rollback', { ...options, version: 'v1.2' }).join(' ')).toBe(
      String.raw`rollback v1.2 --fleet canary --reason 'it'\''s $bad' --reference INC-7 --if-match ab12cd34-5 --key k`,
    );
    expect(againWords('kill', { all: true, key: 'k' })).toEqual(['kill', '--all', '--key', 'k']);
  });
});
