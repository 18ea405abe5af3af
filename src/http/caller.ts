import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';
import { v4 as uuid } from 'uuid';

import type { Origin } from '../lora/domain/events.js';
import { admissionOf, type Identity } from './identity.js';

/** Who calls and since when; every command carries it. */
export interface Caller {
  readonly origin: Origin;
  readonly identity: Identity;
  /** Whether the call may only touch what belongs to its caller. */
  readonly onlyOwn: boolean;
  /** `performance.now()` when the request had arrived (a kill: its head): all deadlines count from it. */
  readonly arrivedAt: number;
  readonly headers: Request['headers'];
  /** A signal for when the caller no longer waits for the answer. */
  gone(): AbortSignal;
  /** Whether the caller has hung up. */
  hasGone(): boolean;
}

const REQUEST_ID = /^[\w.:+/=-]{1,128}$/;
const SOURCE_MAX = 200;

const ARRIVAL = Symbol('arrival');

interface Noted {
  [ARRIVAL]?: { arrivedAt: number; readonly requestId: string };
}

/** Notes the arrival, and gives the request an id that the answer and the event carry. */
export function noteArrival(request: Request & Noted, response: Response, next: NextFunction): void {
  const sent = request.headers['x-request-id'];
  const requestId = typeof sent === 'string' && REQUEST_ID.test(sent) ? sent : uuid();
  request[ARRIVAL] = { arrivedAt: performance.now(), requestId };
  response.setHeader('X-Request-Id', requestId);
  next();
}

/** A command whose body took its time has arrived when the body has. */
export function noteBodyArrival(request: Request & Noted): void {
  const arrival = request[ARRIVAL];
  if (arrival) arrival.arrivedAt = performance.now();
}

export const FromCaller = createParamDecorator((_: unknown, context: ExecutionContext): Caller => {
  const request = context.switchToHttp().getRequest<Request & Noted>();
  const response = context.switchToHttp().getResponse<Response>();
  const { arrivedAt, requestId } = request[ARRIVAL] ?? {
    arrivedAt: performance.now(),
    requestId: uuid(),
  };
  const { identity, onlyOwn } = admissionOf(request);
  return {
    identity,
    onlyOwn,
    origin: {
      actor: identity.actor,
      auth: identity.auth,
      source: request.headers['user-agent']?.slice(0, SOURCE_MAX) ?? null,
      remote_address: request.socket.remoteAddress ?? null,
      request_id: requestId,
    },
    get arrivedAt() {
      return request[ARRIVAL]?.arrivedAt ?? arrivedAt;
    },
    headers: request.headers,
    hasGone: () => response.closed || request.socket.destroyed || request.socket.readableEnded,
    gone: () => {
      const gone = new AbortController();
      if (response.closed) gone.abort();
      response.once('close', () => {
        gone.abort();
      });
      return gone.signal;
    },
  };
});
