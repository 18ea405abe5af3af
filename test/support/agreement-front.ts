import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

import { type Answered, type Call, callAt, type Target, UPSTREAM } from './agreement-call.js';
import type { Node } from './agreement-node.js';

const TRIES = 2;

/**
 * A reverse proxy before all replicas, with the manners of deploy/nginx: round robin, a fresh connection for each
 * request, nothing buffered, a POST that was sent is never sent again, and nobody is taken out for a 503.
 */
export class Front implements Target {
  readonly incarnation = 'front';
  private next = 0;

  private constructor(
    private readonly server: Server,
    private readonly nodes: readonly Node[],
  ) {}

  static async before(nodes: readonly Node[]): Promise<Front> {
    const server = createServer();
    const front = new Front(server, nodes);
    server.on('request', (incoming: IncomingMessage, outgoing: ServerResponse) => {
      void front.serve(incoming, outgoing);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return front;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  call(call: Call): Promise<Answered> {
    return callAt(this, call);
  }

  async close(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  private async serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body: Buffer[] = [];
    try {
      for await (const chunk of incoming) body.push(chunk as Buffer);
    } catch {
      return;
    }
    for (let tries = 0; tries < TRIES; tries++) {
      const node = this.nodes[this.next++ % this.nodes.length];
      if (!node?.isUp) continue;
      const became = await pass(node, incoming, Buffer.concat(body), outgoing);
      if (became === 'answered') return;
      if (became === 'sent' && incoming.method === 'POST') break;
    }
    if (outgoing.headersSent || outgoing.destroyed) return;
    outgoing.writeHead(503, { 'content-type': 'application/problem+json', 'retry-after': '1' });
    outgoing.end(JSON.stringify({ status: 503, code: 'log-unavailable', outcome: 'unknown' }));
  }
}

/** Carries one request to one replica; `sent` when nobody knows what became of it. */
function pass(
  node: Node,
  incoming: IncomingMessage,
  body: Buffer,
  outgoing: ServerResponse,
): Promise<'answered' | 'sent' | 'refused'> {
  return new Promise((resolve) => {
    const { incarnation } = node;
    let sent = false;
    const headers: OutgoingHttpHeaders = { ...incoming.headers, connection: 'close' };
    const onward = request(node.url + (incoming.url ?? ''), {
      method: incoming.method,
      headers,
      agent: false,
    });
    onward.on('socket', (socket) => socket.on('connect', () => (sent = true)));
    onward.on('response', (answer) => {
      const kept = { ...answer.headers };
      delete kept.connection;
      outgoing.writeHead(answer.statusCode ?? 502, { ...kept, [UPSTREAM]: incarnation });
      outgoing.flushHeaders();
      answer.pipe(outgoing);
      // What breaks in the middle is broken for the client too.
      answer.on('close', () => {
        if (answer.complete) outgoing.end();
        else outgoing.destroy();
      });
      resolve('answered');
    });
    onward.on('error', () => {
      resolve(sent ? 'sent' : 'refused');
    });
    outgoing.on('close', () => {
      onward.destroy();
      resolve('answered');
    });
    onward.end(body);
  });
}
