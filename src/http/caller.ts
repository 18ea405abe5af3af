import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';

import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Request, Response } from 'express';

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

interface Arrived {
  arrivedAt: number;
  readonly requestId: string;
}

interface Noted {
  [ARRIVAL]?: Arrived;
}

/** Notes the arrival, and gives the request an id that the answer and the event carry. */
export function noteArrival(request: Request & Noted): Arrived {
  const sent = request.headers['x-request-id'];
  const requestId = typeof sent === 'string' && REQUEST_ID.test(sent) ? sent : randomUUID();
  return (request[ARRIVAL] = { arrivedAt: performance.now(), requestId });
}

/** A command whose body took its time has arrived when the body has. */
export function noteBodyArrival(request: Request & Noted): void {
  const arrival = request[ARRIVAL];
  if (arrival) arrival.arrivedAt = performance.now();
}

/** The id of a request, once its arrival was noted. */
export function requestIdOf(request: Request & Noted): string | undefined {
  return request[ARRIVAL]?.requestId;
}

/** Where a request came from: its other end, or what a proxy says that is trusted to say so. */
export function addressOf({ ip, socket }: Request): string | undefined {
  return ip !== undefined && isIP(ip) !== 0 ? ip : socket.remoteAddress;
}

/** Reads of the request what is asked for, when it is asked for: most reads ask for next to nothing. */
class RequestCaller implements Caller {
  constructor(
    private readonly request: Request & Noted,
    private readonly response: Response,
  ) {}

  get identity(): Identity {
    return admissionOf(this.request).identity;
  }

  get onlyOwn(): boolean {
    return admissionOf(this.request).onlyOwn;
  }

  get origin(): Origin {
    const { actor, auth } = this.identity;
    return {
      actor,
      auth,
      source: this.headers['user-agent']?.slice(0, SOURCE_MAX) ?? null,
      remote_address: addressOf(this.request) ?? null,
      request_id: this.arrival.requestId,
    };
  }

  get arrivedAt(): number {
    return this.arrival.arrivedAt;
  }

  get headers(): Request['headers'] {
    return this.request.headers;
  }

  hasGone(): boolean {
    const { socket } = this.request;
    return this.response.closed || socket.destroyed || socket.readableEnded;
  }

  gone(): AbortSignal {
    const gone = new AbortController();
    if (this.response.closed) gone.abort();
    this.response.once('close', () => {
      gone.abort();
    });
    return gone.signal;
  }

  private get arrival(): Arrived {
    return this.request[ARRIVAL] ?? noteArrival(this.request);
  }
}

export const FromCaller = createParamDecorator((_: unknown, context: ExecutionContext): Caller => {
  const http = context.switchToHttp();
  return new RequestCaller(http.getRequest<Request>(), http.getResponse<Response>());
});
