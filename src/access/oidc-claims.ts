import type { JWTPayload } from 'jose';

import type { OidcSettings } from '../config/settings.js';
import type { Identity } from '../http/identity.js';
import { FLEET_PATTERN } from '../lora/domain/names.js';
import { type Role, ROLES } from './roles.js';

const SUBJECT_MAX = 255;
const NAME_MAX = 200;

/**
 * Who a token speaks of, and as what. Claims that say something else than this service knows give nothing.
 * @returns undefined when it names nobody who could stand in a log
 */
export function identityOf(
  { issuer, rolesClaim, fleetsClaim }: OidcSettings,
  claims: JWTPayload,
): (Identity & { readonly roles: readonly Role[] }) | undefined {
  const { sub } = claims;
  if (sub === undefined || !isPlain(sub, SUBJECT_MAX)) return undefined;
  const named = textsOf(claimOf(claims, rolesClaim));
  return {
    actor: `oidc:${issuer}/${sub}`,
    auth: 'oidc',
    name: [claims.name, claims.preferred_username].find((each) => isPlain(each, NAME_MAX)) ?? null,
    fleets: fleetsClaim === undefined ? null : fleetsOf(textsOf(claimOf(claims, fleetsClaim))),
    roles: ROLES.filter((role) => named.includes(role)),
  };
}

/** By its name; or, as some issuers nest them, by a way of names with dots between. */
function claimOf(claims: JWTPayload, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const step of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}

/** One text, or a list of them. */
function textsOf(value: unknown): string[] {
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return values.filter((each) => typeof each === 'string');
}

/** All only when it says so; what is no fleet's name is none. */
function fleetsOf(names: readonly string[]): readonly string[] | null {
  return names.includes('*') ? null : names.filter((name) => FLEET_PATTERN.test(name));
}

function isPlain(value: unknown, max: number): value is string {
  return typeof value === 'string' && value.length <= max && /^[^\p{Cc}\p{Cs}]+$/u.test(value);
}
