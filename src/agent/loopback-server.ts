import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Reply {
  readonly status: number;
  readonly body: object;
}

/** Answers of the routes, by `METHOD /path`. */
export type Routes = Readonly<Partial<Record<string, () => Reply | Promise<Reply>>>>;

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** A caller that says nothing, or never ends, is dropped. */
const CALL_MS = 10_000;

const MALFORMED = JSON.stringify({ error: 'malformed request' });

/** Serves this machine only: others could lift a local kill. */
export class LoopbackServer {
  private readonly server: Server;

  constructor(private readonly routes: Routes) {
    this.server = createServer({ headersTimeout: CALL_MS, requestTimeout: CALL_MS }, (request, response) => {
      void this.serve(request, response);
    });
    this.server.on('clientError', (_error, socket) => {
      if (!socket.writable) return;
      const head = `HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: ${MALFORMED.length}`;
      socket.end(`${head}\r\nConnection: close\r\n\r\n${MALFORMED}`);
    });
  }

  /** @returns the port; @throws when it is taken */
  async listen(port: number): Promise<number> {
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on('error', () => undefined).resume();
    response.on('error', () => undefined);
    const { status, body } = await this.answer(request);
    const text = `${JSON.stringify(body)}\n`;
    response.writeHead(status, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(text),
      'Cache-Control': 'no-store',
    });
    response.end(text);
  }

  private async answer({ headers, method = '', url = '' }: IncomingMessage): Promise<Reply> {
    // A page in a browser gets here by a name of its own that leads to 127.0.0.1, or by a form.
    if (!isLoopback(headers.host) || (headers.origin !== undefined && !isLoopback(hostIn(headers.origin)))) {
      return {
        status: 403,
        body: { error: 'only for this machine: the host must be 127.0.0.1 or localhost' },
      };
    }
    const route = this.routes[`${method} ${url.split('?', 1)[0] ?? ''}`];
    if (!route) return { status: 404, body: { error: 'not found', routes: Object.keys(this.routes) } };
    try {
      return await route();
    } catch (error) {
      return { status: 500, body: { error: error instanceof Error ? error.message : String(error) } };
    }
  }
}

function hostIn(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}

function isLoopback(host: string | undefined): boolean {
  return host !== undefined && LOOPBACK.has(host.toLowerCase().replace(/:\d*$/, ''));
}
