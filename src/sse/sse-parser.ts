/** A comment says only that the other side is there. */
export type SseItem =
  { readonly comment: string } | { readonly event: string; readonly id: string; readonly data: string };

const CARRIAGE_RETURN = '\r';

/** Server-sent events, fed as the text arrives: https://html.spec.whatwg.org/multipage/server-sent-events.html */
export class SseParser {
  private rest = '';
  private held = 0;
  private event = '';
  private id = '';
  private data: string[] = [];

  /** @param max characters that one event may have */
  constructor(private readonly max: number) {}

  /** @throws Error when an event gets too long */
  *push(text: string): Generator<SseItem> {
    const all = this.rest + text;
    // A CR at the end may be half of a CRLF.
    const ready = all.endsWith(CARRIAGE_RETURN) ? all.length - 1 : all.length;
    const lines = all.slice(0, ready).split(/\r\n|\n|\r/);
    this.rest = (lines.pop() ?? '') + all.slice(ready);
    for (const line of lines) {
      const item = this.line(line);
      if (item) yield item;
    }
    if (this.rest.length + this.held > this.max)
      throw new Error(`an event of more than ${this.max} characters`);
  }

  private line(line: string): SseItem | undefined {
    if (line === '') return this.dispatch();
    if (line.startsWith(':')) return { comment: line.slice(1).trim() };
    this.held += line.length;
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.event = value;
    else if (field === 'data') this.data.push(value);
    else if (field === 'id' && !value.includes('\0')) this.id = value;
    return undefined;
  }

  private dispatch(): SseItem | undefined {
    const { event, id, data } = this;
    this.event = '';
    this.data = [];
    this.held = 0;
    if (data.length === 0) return undefined;
    return { event: event === '' ? 'message' : event, id, data: data.join('\n') };
  }
}

/**
 * Reads server-sent events out of the bytes of a stream, until it ends.
 * @param max characters that one event may have
 * @throws Error when an event gets too long
 */
export async function* sseItems(chunks: AsyncIterable<Uint8Array>, max: number): AsyncGenerator<SseItem> {
  const parser = new SseParser(max);
  const decoder = new TextDecoder();
  for await (const bytes of chunks) yield* parser.push(decoder.decode(bytes, { stream: true }));
}
