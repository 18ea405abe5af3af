import { Inject, Injectable } from '@nestjs/common';
import type { Request } from 'express';

import { addressOf } from '../http/caller.js';
import { tokenNotGood, unauthenticated } from '../http/identity.js';
import { Problem } from '../http/problem.js';
import { Attempts } from './attempts.js';
import { type Principal, TOKEN_VERIFIERS, type TokenVerifier } from './principal.js';

const BEARER = /^bearer +([\w.~+/=-]+) *$/i;

/** Finds out who calls. */
@Injectable()
export class Authenticator {
  private readonly attempts = new Attempts();

  constructor(@Inject(TOKEN_VERIFIERS) private readonly verifiers: readonly TokenVerifier[]) {}

  /**
   * Who presents the token of this request: at once, unless a verifier has to ask elsewhere.
   * Only what is no good is ever counted: whoever has a token gets through, however many others are tried.
   * @throws Problem 401, or 429 where too many have come that were no good (also as a rejection)
   */
  authenticate(request: Request): Principal | Promise<Principal> {
    const { authorization } = request.headers;
    if (authorization === undefined) throw unauthenticated('Send Authorization: Bearer <token>.');
    const token = BEARER.exec(authorization)?.[1];
    const found = token === undefined ? undefined : this.ask(token, 0);
    if (found instanceof Promise) return found.then((principal) => principal ?? this.refuse(request));
    return found ?? this.refuse(request);
  }

  private ask(token: string, from: number): Principal | undefined | Promise<Principal | undefined> {
    for (let next = from; next < this.verifiers.length; next++) {
      const found = this.verifiers[next]?.verify(token);
      if (found instanceof Promise) return found.then((principal) => principal ?? this.ask(token, next + 1));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private refuse(request: Request): never {
    const seconds = this.attempts.fail(addressOf(request) ?? '', performance.now());
    if (seconds === undefined) throw tokenNotGood();
    const detail =
      'Too many tokens that are not good have come from your address. A good one is taken at any time.';
    throw new Problem('too-many-attempts', detail, {}, { 'Retry-After': `${seconds}`, Connection: 'close' });
  }
}
