import type { Request } from 'express';

import { Problem } from './problem.js';

/** Who calls, as far as the rooms behind the door need to know. */
export interface Identity {
  /** Stable, and what every event names: `token:ci`, `oidc:<issuer>/<sub>`, `anonymous` where nobody is asked. */
  readonly actor: string;
  /** How the actor was authenticated: `token`, `oidc`, or `none`. */
  readonly auth: string;
  /** How people call the actor, where that is known; beside the actor, never instead. */
  readonly name: string | null;
  /** The fleets that the caller may see and act on; null is all. */
  readonly fleets: readonly string[] | null;
}

/** What the door has found out about a request. */
interface Admission {
  readonly identity: Identity;
  /** Whether the call may only touch what belongs to its caller. */
  readonly onlyOwn: boolean;
  /** Fires when the caller's token is no longer good; absent where nobody is asked. */
  readonly revoked?: AbortSignal;
}

export const ANONYMOUS: Identity = { actor: 'anonymous', auth: 'none', name: null, fleets: null };

const ADMISSION = Symbol('admission');
const OPEN: Admission = { identity: ANONYMOUS, onlyOwn: false };

interface Admitted {
  [ADMISSION]?: Admission;
}

export function noteAdmission(request: Request & Admitted, admission: Admission): void {
  request[ADMISSION] = admission;
}

export function admissionOf(request: Request & Admitted): Admission {
  return request[ADMISSION] ?? OPEN;
}

/** @throws Problem 401 when the caller's token was taken away while the rest of the request was awaited */
export function checkStillAdmitted(request: Request): void {
  if (admissionOf(request).revoked?.aborted === true) throw tokenNotGood();
}

export const tokenNotGood = (): Problem =>
  unauthenticated('The token is not known, or it is no longer good.', 'Bearer error="invalid_token"');

export function unauthenticated(detail: string, challenge = 'Bearer'): Problem {
  return new Problem('unauthenticated', detail, {}, { 'WWW-Authenticate': challenge });
}

export function mayReach({ fleets }: Identity, fleet: string): boolean {
  return fleets === null || fleets.includes(fleet);
}

/** The fleets of a list: the one asked for, else those of the caller; null is all. */
export function fleetsAsked({ fleets }: Identity, fleet: string | undefined): readonly string[] | null {
  return fleet === undefined ? fleets : [fleet];
}

/** What an answer over all fleets says when the caller's are not all. */
export interface Scoped {
  readonly scope?: 'partial';
}

export function scopeOf({ fleets }: Identity, fleet?: string): Scoped {
  return fleets === null || fleet !== undefined ? {} : { scope: 'partial' };
}

/** @throws Problem 403 when the caller is limited to other fleets */
export function checkFleet(identity: Identity, fleet: string): void {
  if (!mayReach(identity, fleet)) {
    throw new Problem('forbidden', `${identity.actor} has nothing to do with that fleet.`);
  }
}
