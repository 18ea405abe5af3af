import { type OutgoingHttpHeaders, ServerResponse } from 'node:http';

import type { Express, NextFunction, Request, Response } from 'express';

import { noteArrival, requestIdOf } from './caller.js';
import { noteBusy } from './client-error.js';
import { refuseForeignPage } from './foreign-page.js';

/**
 * What every request passes before its route. One function for all of it: each layer of Express costs a request more
 * than what it does here.
 * @throws Problem 403, which Express hands to the filters
 */
export function meet(request: Request, response: Response, next: NextFunction): void {
  noteArrival(request);
  noteBusy(request, response);
  refuseForeignPage(request);
  next();
}

/** Puts the id of its request on every answer, whoever writes its head. */
export function nameAnswers(express: Express): void {
  const named: Pick<ServerResponse, 'writeHead'> & ThisType<Response> = {
    writeHead(status: number, ...rest: unknown[]): Response {
      const id = requestIdOf(this.req);
      const headers = rest.at(-1);
      const plain = typeof headers === 'object' && headers !== null && !Array.isArray(headers);
      if (id !== undefined && plain) rest[rest.length - 1] = { ...headers, 'X-Request-Id': id };
      else if (id !== undefined) this.setHeader('X-Request-Id', id);
      return ServerResponse.prototype.writeHead.call(
        this,
        status,
        ...(rest as [OutgoingHttpHeaders]),
      ) as Response;
    },
  };
  Object.assign(express.response, named);
}
