import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/**
 * Sends a text as a file, as fast as its reader reads. Where that cannot be done to the end the connection is cut: the
 * status has been sent by then, and that the file is not whole shows in its missing end.
 * @param silenceMs after which a reader who has read nothing is taken to be gone
 */
export async function sendFile(
  response: ServerResponse,
  headers: OutgoingHttpHeaders,
  text: AsyncIterable<string>,
  silenceMs: number,
): Promise<void> {
  response.writeHead(200, headers);
  response.setTimeout(silenceMs, () => response.destroy());
  try {
    await pipeline(Readable.from(text), response);
  } catch {
    response.destroy();
  }
}
