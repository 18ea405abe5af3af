import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { type SseItem, sseItems, SseParser } from '../../src/sse/sse-parser.js';

const parse = (...chunks: string[]): SseItem[] => {
  const parser = new SseParser(1000);
  return chunks.flatMap((chunk) => [...parser.push(chunk)]);
};

describe('the parser of server-sent events', () => {
  it.each<[string, string, SseItem[]]>([
    ['an event', 'id: a-1\nevent: state\ndata: {}\n\n', [{ event: 'state', id: 'a-1', data: '{}' }]],
    ['a comment', ': heartbeat\n\n', [{ comment: 'heartbeat' }]],
    ['an event without a name', 'data:x\n\n', [{ event: 'message', id: '', data: 'x' }]],
    ['data of several lines', 'data: a\ndata:  b\n\n', [{ event: 'message', id: '', data: 'a\n b' }]],
    ['an event without data', 'event: state\n\n', []],
    ['fields that nobody knows', 'retry: 1000\nnonsense\n\n', []],
    ['what is not ended', 'data: x\n', []],
    [
      'CRLF and CR',
      'event: a\r\ndata: 1\r\n\r\ndata: 2\r\r: c\r\n',
      [{ event: 'a', id: '', data: '1' }, { event: 'message', id: '', data: '2' }, { comment: 'c' }],
    ],
    [
      'an id that stays',
      'id: 1\ndata: a\n\ndata: b\n\n',
      [
        { event: 'message', id: '1', data: 'a' },
        { event: 'message', id: '1', data: 'b' },
      ],
    ],
  ])('reads %s', (_what, text, items) => {
    expect(parse(text)).toEqual(items);
    expect(parse(...text)).toEqual(items);
  });

  it('does not care where the text was cut', () => {
    const text = 'id: 1\r\nevent: state\r\ndata: {"a":1}\r\n\r\n: hb\n\ndata: x\rdata: y\r\r: end\n';
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: text.length - 1 })), (cuts) => {
        const ends = [0, ...cuts.sort((a, b) => a - b), text.length];
        const chunks = ends.slice(1).map((end, i) => text.slice(ends[i], end));
        expect(parse(...chunks)).toEqual(parse(text));
      }),
    );
  });

  it('ends one that is too long, in one line or in many', () => {
    expect(() => parse('data: ', 'x'.repeat(1001))).toThrow('more than 1000');
    expect(() => parse(...Array.from({ length: 200 }, () => 'data: xx\n'))).toThrow('more than 1000');
    expect(parse(...Array.from({ length: 200 }, () => 'data: xx\n\n'))).toHaveLength(200);
  });

  it('never throws on anything short', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 20 }), { maxLength: 20 }), (chunks) => {
        parse(...chunks);
      }),
    );
  });

  it.each([1, 2, 7, 1000])('reads a stream that comes in pieces of %d bytes', async (size) => {
    const stream = Buffer.from(
      'retry: 1000\n\nid: ab-1\nevent: state\ndata: {"a":"é"}\n\n: hb\n\nevent: cut\ndata: ',
    );
    async function* pieces(): AsyncGenerator<Buffer> {
      for (let start = 0; start < stream.length; start += size) {
        yield await Promise.resolve(stream.subarray(start, start + size));
      }
    }
    const items: SseItem[] = [];
    for await (const item of sseItems(pieces(), 1000)) items.push(item);
    expect(items).toEqual([{ event: 'state', id: 'ab-1', data: '{"a":"é"}' }, { comment: 'hb' }]);
  });
});
