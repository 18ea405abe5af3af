import type { Server } from 'node:http';
import type { Socket } from 'node:net';

import type { NextFunction, Request, Response } from 'express';

import { Problem } from './problem.js';

/** Connections on which a request is being carried out. */
const busy = new WeakSet<Socket>();

export function noteBusy(request: Request, response: Response, next: NextFunction): void {
  const { socket } = request;
  busy.add(socket);
  response.once('close', () => busy.delete(socket));
  next();
}

/**
 * Answers what is no HTTP with a problem document. Where a request of the connection is under way nothing is said: a
 * kill whose body broke off is carried out, and a 400 would deny it.
 */
export function answerClientErrors(server: Server): void {
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (busy.has(socket) || !socket.writable) {
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
