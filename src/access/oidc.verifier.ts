import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';

import { type BeforeApplicationShutdown, Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';

import { type OidcSettings, SETTINGS, type Settings } from '../config/settings.js';
import { Problem } from '../http/problem.js';
import { oidcKeysAge } from './access-metrics.js';
import { CallerNames } from './caller-names.js';
import { IssuerKeys, type Keys } from './issuer-keys.js';
import { identityOf } from './oidc-claims.js';
import type { Principal, TokenVerifier } from './principal.js';

const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/;
/** Only such as need the issuer's private key: with a shared secret, its public key would do. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
/** By how much clocks may differ. */
const CLOCK_SECONDS = 5;
const LOOK_MS = 500;
const KNOWN_MAX = 10_000;

interface Known {
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  readonly principal: Principal;
  readonly revoke: () => void;
}

/** Tokens that an OpenID Connect issuer has signed. A token is checked once, and then known until it expires. */
@Injectable()
export class OidcVerifier implements TokenVerifier, OnModuleInit, BeforeApplicationShutdown {
  private readonly oidc: OidcSettings | undefined;
  private readonly keys: IssuerKeys | undefined;
  /** By the token's SHA-256. */
  private readonly known = new Map<string, Known>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    @Inject(SETTINGS) { oidc }: Settings,
    private readonly names: CallerNames,
  ) {
    this.oidc = oidc;
    if (oidc === undefined) return;
    // Which of them the key that has gone vouched for is not known: all are checked again, and their streams end.
    this.keys = new IssuerKeys(oidc.issuer, () => {
      this.forget(() => true);
    });
  }

  /** Whether the issuer does not answer. */
  get isIssuerAway(): boolean {
    return this.keys?.isAway ?? false;
  }

  /** Waits for nobody: the service starts while its issuer is down. */
  onModuleInit(): void {
    const { keys } = this;
    if (keys === undefined) return;
    keys.begin();
    this.timer = setInterval(() => {
      const now = Date.now();
      this.forget(({ expiresAt }) => expiresAt <= now || keys.current === undefined);
      oidcKeysAge.set(keys.ageMs / 1000);
    }, LOOK_MS).unref();
  }

  beforeApplicationShutdown(): void {
    clearInterval(this.timer);
    this.keys?.end();
  }

  /** @throws Problem 503 when the token may be good, and no key is known to tell by (as a rejection) */
  verify(token: string): Principal | undefined | Promise<Principal | undefined> {
    if (this.oidc === undefined || this.keys === undefined || !JWT.test(token)) return undefined;
    const digest = createHash('sha256').update(token).digest('hex');
    const known = this.known.get(digest);
    if (known !== undefined) return known.expiresAt > Date.now() ? known.principal : undefined;
    if (issuerOf(token) !== this.oidc.issuer) return undefined;
    return this.check(token, digest, this.oidc, this.keys);
  }

  private async check(
    token: string,
    digest: string,
    oidc: OidcSettings,
    issuer: IssuerKeys,
  ): Promise<Principal | undefined> {
    let keys = issuer.current ?? (await issuer.renewed());
    if (keys === undefined) throw issuerAway();
    let claims = await claimsOf(token, oidc, keys);
    if (claims === 'unknown-key') {
      const next = await issuer.renewed();
      if (next === undefined || next === keys) return undefined;
      keys = next;
      claims = await claimsOf(token, oidc, keys);
    }
    // The key that vouched for it may have gone meanwhile, and what is forgotten with a key are the tokens known then.
    if (issuer.current !== keys) return this.check(token, digest, oidc, issuer);
    const identity = typeof claims === 'object' ? identityOf(oidc, claims) : undefined;
    if (typeof claims !== 'object' || claims.exp === undefined || identity === undefined) return undefined;
    return this.remember(digest, claims.exp, identity);
  }

  private remember(digest: string, exp: number, identity: Omit<Principal, 'revoked'>): Principal {
    // Two requests with a new token are checked at the same time.
    const before = this.known.get(digest);
    if (before !== undefined) return before.principal;
    if (this.known.size >= KNOWN_MAX) this.forgetOldest();
    const revocation = new AbortController();
    // One for each stream that the token holds open.
    setMaxListeners(0, revocation.signal);
    const principal = { ...identity, revoked: revocation.signal };
    const revoke = () => {
      revocation.abort();
    };
    this.names.note(principal);
    this.known.set(digest, { expiresAt: (exp + CLOCK_SECONDS) * 1000, principal, revoke });
    return principal;
  }

  private forgetOldest(): void {
    const [oldest] = this.known.values();
    this.forget((each) => each === oldest);
  }

  private forget(whom: (known: Known) => boolean): void {
    for (const [digest, known] of this.known) {
      if (!whom(known)) continue;
      this.known.delete(digest);
      known.revoke();
    }
  }
}

/** What a token says of its issuer, unproven: another's is no matter for these keys. */
function issuerOf(token: string): string | undefined {
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

async function claimsOf(
  token: string,
  { issuer, audience }: OidcSettings,
  { find }: Keys,
): Promise<JWTPayload | 'unknown-key' | undefined> {
  try {
    const { payload } = await jwtVerify(token, find, {
      issuer,
      audience,
      algorithms: ALGORITHMS,
      clockTolerance: CLOCK_SECONDS,
      requiredClaims: ['exp', 'sub'],
    });
    return payload;
  } catch (error) {
    return error instanceof errors.JWKSNoMatchingKey ? 'unknown-key' : undefined;
  }
}

function issuerAway(): Problem {
  const detail =
    'The issuer of this token cannot be asked for its keys now. A token of the access file is taken.';
  return new Problem('issuer-unavailable', detail, {}, { 'Retry-After': '1' });
}
