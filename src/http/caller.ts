import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';
import { v4 as uuid } from 'uuid';

import type { Origin } from '../lora/domain/events.js';

/** Who calls and since when; every command carries it. */
export interface Caller {
  readonly origin: Origin;
  /** `performance.now()` when the request's head had arrived: all deadlines count from it. */
  readonly arrivedAt: number;
  readonly headers: Request['headers'];
}

const REQUEST_ID = /^[\w.:+/=-]{1,128}$/;
const SOURCE_MAX = 200;

const arrivals = new WeakMap<object, { arrivedAt: number; requestId: string }>();

/** Notes the arrival, and gives the request an id that the answer and the event carry. */
export function noteArrival(request: Request, response: Response, next: NextFunction): void {
  const sent = request.headers['x-request-id'];
  const requestId = typeof sent === 'string' && REQUEST_ID.test(sent) ? sent : uuid();
  arrivals.set(request, { arrivedAt: performance.now(), requestId });
  response.setHeader('X-Request-Id', requestId);
  next();
}

export const FromCaller = createParamDecorator((_: unknown, context: ExecutionContext): Caller => {
  const request = context.switchToHttp().getRequest<Request>();
  const { arrivedAt, requestId } = arrivals.get(request) ?? {
    arrivedAt: performance.now(),
    requestId: uuid(),
  };
  return {
    origin: {
      actor: 'anonymous',
      auth: 'none',
      source: request.headers['user-agent']?.slice(0, SOURCE_MAX) ?? null,
      remote_address: request.socket.remoteAddress ?? null,
      request_id: requestId,
    },
    arrivedAt,
    headers: request.headers,
  };
});
