import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';

import { eventually, type Json } from './http.js';

/** One event of a stream, as it came over the wire. */
export interface StreamEvent {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: Json;
  /** `performance.now()` at its arrival. */
  readonly at: number;
}

/** An engine's end of a stream; a test reads what has come so far. */
export class EventStream {
  readonly events: StreamEvent[] = [];
  readonly comments: string[] = [];
  readonly retries: number[] = [];
  /** `performance.now()` when the other side had closed it. */
  endedAt: number | undefined;
  private rest = '';

  private constructor(readonly response: IncomingMessage) {
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      this.rest += text;
      const blocks = this.rest.split('\n\n');
      this.rest = blocks.pop() ?? '';
      for (const block of blocks) this.take(block);
    });
    response.on('error', () => undefined);
    response.on('close', () => (this.endedAt = performance.now()));
  }

  /** Connects; an answer that is no stream is read by {@link text}. */
  static async open(
    base: string,
    path = '/lora/stream',
    headers: Record<string, string> = {},
  ): Promise<EventStream> {
    const call = request(base + path, { headers, agent: false });
    call.end();
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    call.on('error', () => undefined);
    return new EventStream(response);
  }

  get status(): number {
    return this.response.statusCode ?? 0;
  }

  /** What came that is no whole event: the body of an answer that is no stream. */
  get text(): string {
    return this.rest;
  }

  get states(): readonly StreamEvent[] {
    return this.events.filter(({ event }) => event === 'state');
  }

  /** The first `count` events, once there are so many. */
  first(count: number): Promise<readonly StreamEvent[]> {
    return eventually(() => this.events.length >= count && this.events.slice(0, count));
  }

  /** The event of that id, once it is there. */
  withId(id: string): Promise<StreamEvent> {
    return eventually(() => this.events.find((event) => event.id === id));
  }

  /** Waits for the other side to close. */
  end(): Promise<number> {
    return eventually(() => this.endedAt);
  }

  close(): void {
    this.response.destroy();
  }

  private take(block: string): void {
    const fields = new Map<string, string>();
    for (const line of block.split('\n')) {
      const colon = line.indexOf(':');
      const value = line.slice(colon + 1).replace(/^ /, '');
      if (colon === 0) this.comments.push(value);
      else fields.set(line.slice(0, colon), value);
    }
    if (fields.has('retry')) this.retries.push(Number(fields.get('retry')));
    const data = fields.get('data');
    if (data === undefined) return;
    this.events.push({
      event: fields.get('event') ?? 'message',
      id: fields.get('id'),
      data: JSON.parse(data) as Json,
      at: performance.now(),
    });
  }
}

/** The ETag of an answer as a stream event's id. */
export function idOf({ headers }: { readonly headers: Headers }): string {
  return (headers.get('etag') ?? '').replaceAll('"', '');
}
