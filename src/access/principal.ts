import type { Identity } from '../http/identity.js';
import type { Role } from './roles.js';

/** Somebody whose token was good. One and the same object for as long as the token means the same. */
export interface Principal extends Identity {
  readonly roles: readonly Role[];
  /** Fires when the token is no longer good: what it holds open ends then. */
  readonly revoked: AbortSignal;
}

/** Knows one kind of token. Asked in order; the first that knows a token decides. */
export interface TokenVerifier {
  /**
   * Who presents this token; undefined when it is not good, or not of this kind. What can be told at once is told at
   * once: a kill does not wait for a turn of the loop. Never throws for what a token holds.
   */
  verify(token: string): Principal | undefined | Promise<Principal | undefined>;
}

/** The list of {@link TokenVerifier}s. */
export const TOKEN_VERIFIERS = Symbol('TOKEN_VERIFIERS');
