import { type OutgoingHttpHeaders, ServerResponse } from 'node:http';

import type { Express, NextFunction, Request, RequestHandler, Response } from 'express';

import { noteArrival, requestIdOf } from './caller.js';
import { noteBusy } from './client-error.js';
import { refuseForeignPage } from './foreign-page.js';
import { SAFE_HEADERS } from './safe-headers.js';

/**
 * What every request passes before its route. One function for all of it: each layer of Express costs a request more
 * than what it does here. It throws Problem 403, which Express hands to the filters.
 * @param friends the origins whose pages may send commands
 */
export function meet(friends: readonly string[]): RequestHandler {
  return (request: Request, response: Response, next: NextFunction): void => {
    noteArrival(request);
    noteBusy(request, response);
    refuseForeignPage(request, friends);
    next();
  };
}

/** Puts the id of its request and what keeps a browser safe on every answer, whoever writes its head. */
export function nameAnswers(express: Express): void {
  const named: Pick<ServerResponse, 'writeHead'> & ThisType<Response> = {
    writeHead(status: number, ...rest: unknown[]): Response {
      const id = requestIdOf(this.req);
      const headers = rest.at(-1);
      const plain = typeof headers === 'object' && headers !== null && !Array.isArray(headers);
      // A page says more of itself.
      const safe = this.hasHeader('Content-Security-Policy') ? undefined : SAFE_HEADERS;
      const ours = id === undefined ? safe : { ...safe, 'X-Request-Id': id };
      if (plain) rest[rest.length - 1] = { ...headers, ...ours };
      else for (const [name, value] of Object.entries(ours ?? {})) this.setHeader(name, value);
      return ServerResponse.prototype.writeHead.call(
        this,
        status,
        ...(rest as [OutgoingHttpHeaders]),
      ) as Response;
    },
  };
  Object.assign(express.response, named);
}
