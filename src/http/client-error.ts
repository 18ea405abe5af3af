import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import { Problem } from './problem.js';

/** The answer to the newest request of each connection. Answers go in order: once it is closed, so are all before. */
const newest = new WeakMap<Socket, ServerResponse>();

/** Notes that a request of the connection is being carried out until its answer is closed. */
export function noteBusy({ socket }: IncomingMessage, response: ServerResponse): void {
  newest.set(socket, response);
}

/**
 * Answers what is no HTTP with a problem document. Where a request of the connection is under way nothing is said: a
 * kill whose body broke off is carried out, and a 400 would deny it.
 */
export function answerClientErrors(server: Server): void {
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const last = newest.get(socket);
    // A kill is answered before a body that stalls is here: what then becomes of the body is no matter for an answer.
    const isUnderWay = last !== undefined && !(last.closed && last.req.complete);
    if (isUnderWay || !socket.writable) {
      socket.destroy();
      return;
    }
    const why =
      error.code === 'HPE_HEADER_OVERFLOW'
        ? 'Its head is too large.'
        : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
          ? 'It did not arrive in time.'
          : 'It is not HTTP.';
    const problem = new Problem('validation-failed', `The request cannot be read. ${why}`);
    const text = JSON.stringify(problem.toDocument('/'));
    socket.end(
      `HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\n` +
        `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
    );
  });
  // An expectation that nobody knows is no reason to refuse a kill.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
}
