import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { eventually, type Json, type Reply } from './http.js';
import { reset } from './reset.js';

/** One connection on which a test sends what no client library would: half a body, chunks, odd targets. */
export class RawConnection {
  private received = Buffer.alloc(0);
  private sent = 0;

  private constructor(private readonly socket: Socket) {
    socket.on('data', (bytes: Buffer) => (this.received = Buffer.concat([this.received, bytes])));
    socket.on('error', () => undefined);
  }

  static async open(url: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    return new RawConnection(socket);
  }

  /** Bytes sent so far, for telling when the other side has them all. */
  get bytesSent(): number {
    return this.sent;
  }

  get localPort(): number {
    return this.socket.localPort ?? 0;
  }

  head(method: string, target: string, headers: Readonly<Record<string, string | number>> = {}): this {
    const lines = Object.entries({ host: 'localhost', ...headers }).map(
      ([name, value]) => `${name}: ${value}`,
    );
    return this.write(`${[`${method} ${target} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n`);
  }

  /** Text goes out as Latin-1, a byte for each character. */
  write(data: string | Uint8Array): this {
    const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
    this.sent += bytes.length;
    this.socket.write(bytes);
    return this;
  }

  chunk(data: string): this {
    return this.write(`${Buffer.byteLength(data, 'latin1').toString(16)}\r\n${data}\r\n`);
  }

  lastChunk(): this {
    return this.write('0\r\n\r\n');
  }

  /** The answer, once it is whole. Answers of this service carry their length. */
  async reply(hasBody = true): Promise<Reply> {
    return eventually(() => {
      const end = this.received.indexOf('\r\n\r\n');
      if (end < 0) return false;
      const [first = '', ...lines] = this.received.subarray(0, end).toString('latin1').split('\r\n');
      const headers = new Headers(
        lines.map((line): [string, string] => {
          const colon = line.indexOf(':');
          return [line.slice(0, colon), line.slice(colon + 1).trim()];
        }),
      );
      const length = hasBody ? Number(headers.get('content-length') ?? 0) : 0;
      const body = this.received.subarray(end + 4, end + 4 + length);
      if (body.length < length) return false;
      this.received = this.received.subarray(end + 4 + length);
      const parsed: unknown = length === 0 ? undefined : JSON.parse(body.toString());
      return { status: Number(first.split(' ')[1]), headers, body: parsed as Json };
    });
  }

  /** Bytes beyond the answers that were read. */
  get unread(): number {
    return this.received.length;
  }

  /** Breaks off: the other side gets a reset. */
  breakOff(): void {
    reset(this.socket);
  }

  close(): void {
    this.socket.destroy();
  }
}
