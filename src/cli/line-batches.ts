import { isAscii } from 'node:buffer';

/** Longer than any line of an export. */
const LINE_MAX = 1 << 24;

/**
 * The lines of a text, without their line feeds, as many at a time as a chunk brings. What follows the last line feed
 * is a line, too.
 * @throws Error for a line of more than 16 MB
 */
export async function* lineBatches(chunks: AsyncIterable<Buffer>): AsyncGenerator<readonly string[]> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const whole = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const end = whole.lastIndexOf(10);
    if (end >= 0) yield textOf(whole.subarray(0, end)).split('\n');
    rest = whole.subarray(end + 1);
    if (rest.length > LINE_MAX) throw new Error('it has a line of more than 16 MB');
  }
  if (rest.length > 0) yield [textOf(rest)];
}

/** Nearly all of it is ASCII, and that is read four times as fast. */
function textOf(bytes: Buffer): string {
  return bytes.toString(isAscii(bytes) ? 'latin1' : 'utf8');
}
