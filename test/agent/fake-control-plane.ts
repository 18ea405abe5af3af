import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { EngineReport } from '../../src/agent/engine-report.js';
import { type FleetState, tagOf } from '../../src/agent/fleet-state.js';

export const LOG = '11111111-0000-4000-8000-000000000000';
export const OTHER_LOG = '22222222-0000-4000-8000-000000000000';

/** A state as the control plane would send it: enabled with v1 by an operator, unless the test says otherwise. */
export function state(generation: number, rest: Partial<FleetState> = {}): FleetState {
  return {
    fleet: 'default',
    log_id: LOG,
    generation,
    enabled: true,
    active_adapter_version: rest.enabled === false ? null : 'v1',
    last_operation: rest.enabled === false ? 'disabled' : 'deployed',
    ...rest,
  };
}

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** The control plane's side of the wire, for a test to drive: one replica with one fleet. */
export class FakeControlPlane {
  readonly puts: EngineReport[] = [];
  readonly deletes: string[] = [];
  readonly requests: Received[] = [];
  readonly streams = new Set<ServerResponse>();
  /** Reads that wait for news. */
  readonly waiting = new Set<() => void>();
  /** Answers instead of the usual. */
  stream: Handler | undefined;
  status: Handler | undefined;
  engines: Handler | undefined;
  /** The log cannot be asked: status reads say so. */
  stale = false;
  private server: Server | undefined;
  private port = 0;

  constructor(public current: FleetState) {}

  static async start(current: FleetState = state(1)): Promise<FakeControlPlane> {
    const plane = new FakeControlPlane(current);
    await plane.up();
    return plane;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get last(): EngineReport | undefined {
    return this.puts.at(-1);
  }

  /** Listens, on the port that it had. */
  async up(): Promise<void> {
    const server = createServer((request, response) => {
      this.serve(request, response);
    });
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    this.server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** Nobody listens any more, and what was open breaks. */
  async down(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (!server) return;
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }

  /** A new state, told to all who listen. */
  tell(next: FleetState): void {
    this.current = next;
    this.write(eventOf(next));
    for (const answer of this.waiting) answer();
    this.waiting.clear();
  }

  heartbeat(): void {
    this.write(': heartbeat\n\n');
  }

  /** Whatever a test wants to have on the streams. */
  write(text: string): void {
    for (const stream of this.streams) stream.write(text);
  }

  private serve(request: IncomingMessage, response: ServerResponse): void {
    const { method = '', url = '', headers } = request;
    this.requests.push({ method, path: url, headers });
    const path = url.split('?')[0] ?? '';
    if (path === '/lora/stream') (this.stream ?? this.serveStream.bind(this))(request, response);
    else if (path === '/lora/status') (this.status ?? this.serveStatus.bind(this))(request, response);
    else (this.engines ?? this.serveEngines.bind(this))(request, response);
  }

  private serveStream({ headers }: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' });
    response.write('retry: 1000\n\n');
    if (headers['last-event-id'] !== tagOf(this.current)) response.write(eventOf(this.current));
    this.streams.add(response);
    response.on('close', () => this.streams.delete(response));
  }

  private serveStatus({ headers }: IncomingMessage, response: ServerResponse): void {
    const answer = (): void => {
      const etag = `"${tagOf(this.current)}"`;
      const unchanged = headers['if-none-match'] === etag && !this.stale;
      response.writeHead(unchanged ? 304 : 200, { ETag: etag, 'Content-Type': 'application/json' });
      response.end(
        unchanged ? undefined : JSON.stringify({ ...this.current, ...(this.stale && { stale: true }) }),
      );
    };
    const waits = headers.prefer !== undefined && headers['if-none-match'] === `"${tagOf(this.current)}"`;
    if (!waits || this.stale) {
      answer();
      return;
    }
    this.waiting.add(answer);
    response.on('close', () => this.waiting.delete(answer));
  }

  private serveEngines(request: IncomingMessage, response: ServerResponse): void {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => (text += part));
    request.on('end', () => {
      if (request.method === 'PUT') this.puts.push(JSON.parse(text) as EngineReport);
      else if (request.method === 'DELETE') this.deletes.push(request.url ?? '');
      response.writeHead(200, { 'Content-Type': 'application/json' }).end('{}');
    });
  }
}

/** Answers everything with a problem document. */
export function problem(status: number, code: string, detail: string): Handler {
  return (_request, response) => {
    response.writeHead(status, { 'Content-Type': 'application/problem+json' });
    response.end(JSON.stringify({ status, code, detail }));
  };
}

export function eventOf(each: FleetState): string {
  return `id: ${tagOf(each)}\nevent: state\ndata: ${JSON.stringify(each)}\n\n`;
}
