import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { eventually } from '../http.js';

/** What the engine was asked. */
export interface Call {
  readonly method: string;
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** The bearer that came with it. */
  readonly key: string | undefined;
}

/** An answer; a string is sent as text, anything else as JSON. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What happens to one call. */
export interface Fault {
  /** Whether the engine does what it was asked before it answers so. */
  readonly acts: boolean;
  /** `cut`: the connection is broken. `silence`: nothing comes. */
  readonly answer: Answer | 'cut' | 'silence';
}

/** An engine on a real port: keeps its state, does what it is asked, and misbehaves as a test wants it to. */
export abstract class TestEngine {
  /** In the order of arrival. */
  readonly calls: Call[] = [];
  /** Counts its lives: what a former life has begun is not finished in the next. */
  protected life = 0;
  /** Loads that have arrived and wait to be let go. */
  heldLoads = 0;
  private port = 0;
  private server: Server | undefined;
  private readonly faults = new Map<string, Fault[]>();
  private readonly lasting = new Map<string, Fault>();
  private loads: { readonly letGo: Promise<void>; readonly release: () => void } | undefined;

  /** What it would serve to somebody who names it. */
  abstract get adapters(): readonly string[];

  /** Does it, and says what came of it. */
  protected abstract answer(call: Call): Answer | undefined | Promise<Answer | undefined>;

  /** Becomes what a new process is. */
  protected abstract forget(): void;

  get url(): URL {
    return new URL(`http://127.0.0.1:${this.port}`);
  }

  /** A new process, where the one before was. */
  async start(): Promise<this> {
    this.forget();
    this.server = createServer((request, response) => void this.serve(request, response));
    this.server.listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as AddressInfo).port;
    return this;
  }

  /** The process is gone: its port is closed and every connection broken. */
  async stop(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    this.life++;
    this.loads?.release();
    this.loads = undefined;
    if (!server) return;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** The next call of that path goes so; one fault after the other. */
  next(path: string, fault: Fault): void {
    this.faults.set(path, [...(this.faults.get(path) ?? []), fault]);
  }

  /** Every call of that path goes so. @returns ends it */
  always(path: string, fault: Fault): () => void {
    this.lasting.set(path, fault);
    return () => this.lasting.delete(path);
  }

  /** From now on loads wait. @returns lets go those that came, and ends the waiting */
  holdLoads(): () => void {
    let release = (): void => undefined;
    const letGo = new Promise<void>((resolve) => (release = resolve));
    this.loads = { letGo, release };
    return () => {
      this.loads = undefined;
      release();
    };
  }

  /** Ends the waiting of loads, if they were held. */
  letLoadsGo(): void {
    this.loads?.release();
    this.loads = undefined;
  }

  /** The calls of a path, once there are so many. */
  async called(path: string, times = 1): Promise<readonly Call[]> {
    return eventually(() => {
      const calls = this.calls.filter((call) => call.path === path);
      return calls.length >= times && calls;
    });
  }

  /** For a load: waits as long as loads are held. @returns false when the process has ended meanwhile */
  protected async mayLoad(): Promise<boolean> {
    const { life } = this;
    this.heldLoads++;
    await this.loads?.letGo;
    this.heldLoads--;
    return life === this.life;
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    const call = await callIn(request);
    this.calls.push(call);
    const fault = this.faults.get(call.path)?.shift() ?? this.lasting.get(call.path);
    const usual = !fault || fault.acts ? await this.answer(call) : undefined;
    const answer = fault?.answer ?? usual ?? notFound;
    if (answer === 'silence') return;
    if (answer === 'cut') request.socket.destroy();
    else send(response, answer);
  }
}

/** What FastAPI says of a route that it does not have. */
export const notFound: Answer = { status: 404, body: { detail: 'Not Found' } };

async function callIn(request: IncomingMessage): Promise<Call> {
  const { method = '', url = '', headers } = request;
  let text = '';
  for await (const chunk of request.setEncoding('utf8') as AsyncIterable<string>) text += chunk;
  const key = headers.authorization?.replace(/^Bearer /, '');
  const body = (text === '' ? {} : JSON.parse(text)) as Call['body'];
  return { method, path: url, body, key };
}

function send(response: ServerResponse, { status, body, headers }: Answer): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const type = typeof body === 'string' ? 'text/plain' : 'application/json';
  response.writeHead(status, { 'Content-Type': type, ...headers }).end(text);
}
