import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { leafHash, microseconds, sha256 } from '../../src/audit/core/leaf.js';
import { canonicalJson } from '../../src/event-store/event-format.js';
import { EVENT_TYPES } from '../../src/lora/domain/events.js';
import { GOLDEN_EVENTS } from './golden-events.js';

describe('the format of events, by the golden vectors', () => {
  it.each(GOLDEN_EVENTS)('$name', (golden) => {
    expect(canonicalJson(golden.event)).toBe(golden.body);
    expect(canonicalJson(JSON.parse(golden.body) as typeof golden.event)).toBe(golden.body);
    expect(sha256(golden.body).toString('hex')).toBe(golden.body_sha256);
    expect(String(microseconds(golden.recorded_at))).toBe(golden.microseconds);
    expect(leafHash(golden.position, golden.recorded_at, golden.body).toString('hex')).toBe(golden.leaf_hash);
  });

  it('covers every type of event', () => {
    expect(GOLDEN_EVENTS.map(({ event }) => event.type).sort()).toEqual([...EVENT_TYPES].sort());
  });

  it('is what the document shows, which prints the first one', () => {
    const document = readFileSync(new URL('../../docs/event-format.md', import.meta.url), 'utf8');
    const [first] = GOLDEN_EVENTS;
    for (const value of [first?.body, first?.microseconds, first?.body_sha256, first?.leaf_hash])
      expect(document).toContain(value);
  });
});

describe('canonical JSON', () => {
  it('does not depend on the order of members', () => {
    const [first] = GOLDEN_EVENTS;
    const turned = Object.fromEntries(Object.entries(first?.event ?? {}).reverse());
    expect(canonicalJson(turned)).toBe(first?.body);
  });

  // Appendix B of RFC 8785, and the example of its section 3.2.2.
  it.each([
    [
      { n: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001] },
      '{"n":[333333333.3333333,1e+30,4.5,0.002,1e-27]}',
    ],
    [
      { n: [0, -0, 5e-324, 1.7976931348623157e308, 9007199254740992] },
      '{"n":[0,0,5e-324,1.7976931348623157e+308,9007199254740992]}',
    ],
    [{ s: '\u20ac$\u000f\nA\'B"\\\\"/' }, '{"s":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'],
  ])('writes %j as RFC 8785 does', (value, text) => {
    expect(canonicalJson(value)).toBe(text);
  });

  it.each([NaN, Infinity])('refuses %p, which JSON does not have', (value) => {
    expect(() => canonicalJson({ value })).toThrow();
  });
});

describe('the leaf hash', () => {
  const [first] = GOLDEN_EVENTS;
  const leaf = (position: number, recordedAt: string, body: string): string =>
    leafHash(position, recordedAt, body).toString('hex');

  it('changes with the position, with a microsecond and with a character', () => {
    const { position = 0, recorded_at: at = '', body = '' } = first ?? {};
    const all = [
      leaf(position, at, body),
      leaf(position + 1, at, body),
      leaf(position, at.replace('1Z', '2Z'), body),
      leaf(position, at, body.replace('v1.1', 'v1.2')),
    ];
    expect(new Set(all).size).toBe(all.length);
  });

  it.each(['2100-01-01T00:00:00Z', '2100-01-01T00:00:00.001Z', '2100-01-01 00:00:00.000001+00', ''])(
    'refuses the time %p, which is not of the log',
    (time) => {
      expect(() => leaf(1, time, '{}')).toThrow('is not a time of the log');
    },
  );
});
