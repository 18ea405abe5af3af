import type { Server } from 'node:http';

/** How long the head of a request may take, and all of it. A body's own patience is shorter; see params.ts. */
const HEAD_MS = 10_000;
const REQUEST_MS = 20_000;
/** How long a connection stays open for the next request. */
const KEEP_ALIVE_MS = 15_000;
/** How often connections are looked through. */
const LOOK_MS = 1_000;

/**
 * Bounds what a connection may take. A head is bounded by Node, to 16 KiB with the address; the count of headers is
 * not, because Node would drop the others without a word, and an If-Match among them. The count of requests is not
 * either: the one too many would be refused, and may be a kill.
 */
export function limit(server: Server): void {
  server.headersTimeout = HEAD_MS;
  server.requestTimeout = REQUEST_MS;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.maxHeadersCount = 0;
  // Read when the server begins to listen; Node's types know it as an option only.
  Object.assign(server, { connectionsCheckingInterval: LOOK_MS });
}
