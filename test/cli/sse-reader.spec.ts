import { expect, it } from '@jest/globals';

import { eventsOf, type StreamEvent } from '../../src/cli/sse-reader.js';

const STREAM = Buffer.from(
  'retry: 1000\n\nid: ab-1\nevent: state\ndata: {"a":"é"}\n\n: heartbeat\n\ndata: 1\r\ndata:2\r\n\r\nevent: cut\ndata: ',
);

it.each([1, 2, 7, STREAM.length])('reads events out of pieces of %d bytes', async (size) => {
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let start = 0; start < STREAM.length; start += size) {
      yield await Promise.resolve(STREAM.subarray(start, start + size));
    }
  }
  const events: StreamEvent[] = [];
  for await (const event of eventsOf(pieces())) events.push(event);
  expect(events).toEqual([
    { event: 'state', id: 'ab-1', data: '{"a":"é"}' },
    { event: 'message', id: undefined, data: '1\n2' },
  ]);
});
