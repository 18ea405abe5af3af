import { Inject, Injectable } from '@nestjs/common';
import type { Request } from 'express';

import { Problem } from '../http/problem.js';
import { type Principal, TOKEN_VERIFIERS, type TokenVerifier } from './principal.js';

const BEARER = /^bearer +([\w.~+/=-]+) *$/i;

/** Finds out who calls. */
@Injectable()
export class Authenticator {
  constructor(@Inject(TOKEN_VERIFIERS) private readonly verifiers: readonly TokenVerifier[]) {}

  /**
   * Who presents the token of this request: at once, unless a verifier has to ask elsewhere.
   * @throws Problem 401 (also as a rejection)
   */
  authenticate({ headers }: Request): Principal | Promise<Principal> {
    if (headers.authorization === undefined) throw unauthenticated('Send Authorization: Bearer <token>.');
    const token = BEARER.exec(headers.authorization)?.[1];
    if (token === undefined) throw notGood();
    return this.ask(token, 0);
  }

  private ask(token: string, from: number): Principal | Promise<Principal> {
    for (let next = from; next < this.verifiers.length; next++) {
      const found = this.verifiers[next]?.verify(token);
      if (found instanceof Promise) return found.then((principal) => principal ?? this.ask(token, next + 1));
      if (found !== undefined) return found;
    }
    throw notGood();
  }
}

const notGood = (): Problem =>
  unauthenticated('The token is not known, or it is no longer good.', 'Bearer error="invalid_token"');

function unauthenticated(detail: string, challenge = 'Bearer'): Problem {
  return new Problem('unauthenticated', detail, {}, { 'WWW-Authenticate': challenge });
}
