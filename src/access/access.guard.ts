import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';

import { isLoopback } from '../config/loopback.js';
import { checkFleet, noteAdmission } from '../http/identity.js';
import { queryOf } from '../http/params.js';
import { Problem } from '../http/problem.js';
import { DEFAULT_FLEET } from '../lora/domain/names.js';
import { routeOf } from './asked.js';
import { Authenticator } from './authenticator.js';
import type { Principal } from './principal.js';
import { DESCRIPTION, reachOf, rolesFor, type Route, ROUTES } from './roles.js';

/**
 * Lets a request through when its caller may do what its route needs. It looks at the head alone: nobody's body is
 * waited for before it is known who sends it. Where nobody is asked who calls it is not put before the routes.
 */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(private readonly authenticator: Authenticator) {}

  /** @throws Problem 401 or 403 */
  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const request = context.switchToHttp().getRequest<Request>();
    const route = ROUTES[routeOf(request)];
    if (route === 'open') return true;
    if (route === undefined) throw new Problem('forbidden', 'No role may do this.');
    return this.admit(request, context.switchToHttp().getResponse<Response>(), route);
  }

  /** For the pages that describe the calls, which are no routes of a controller. */
  readonly describe = (request: Request, response: Response, next: NextFunction): void => {
    const admit = async () => this.admit(request, response, DESCRIPTION);
    admit().then(() => {
      next();
    }, next);
  };

  private admit(request: Request, response: Response, route: Route): boolean | Promise<boolean> {
    if (route.openOnLoopback && isFromHere(request)) return true;
    const principal = this.authenticator.authenticate(request);
    const authorise = (caller: Principal): true => {
      authoriseRoute(request, route, caller);
      if (mayLast(request, route)) endWhenRevoked(response, caller);
      return true;
    };
    return principal instanceof Promise ? principal.then(authorise) : authorise(principal);
  }
}

/** A proxy on this machine says for whom it calls. */
function isFromHere({ socket, headers }: Request): boolean {
  const forwarded = headers['x-forwarded-for'] ?? headers.forwarded ?? headers.via;
  return forwarded === undefined && isLoopback(socket.remoteAddress ?? '');
}

/** @throws Problem 403 */
function authoriseRoute(request: Request, route: Route, principal: Principal): void {
  const reach = reachOf(principal.roles, route.needs);
  const { revoked } = principal;
  noteAdmission(request, { identity: principal, onlyOwn: reach === 'own', revoked });
  if (reach === undefined) {
    throw new Problem('forbidden', `This needs one of the roles ${rolesFor(route.needs).join(', ')}.`);
  }
  if (principal.fleets !== null) checkFleets(request, route, principal);
}

function checkFleets(request: Request, { fleet: rule }: Route, principal: Principal): void {
  if (rule === 'whole') throw new Problem('forbidden', 'This needs a token for all fleets.');
  if (rule === 'path') checkFleet(principal, String(request.params.fleet));
  if (rule !== 'query' && rule !== 'some') return;
  const named = queryOf(request).getAll('fleet');
  // A route that takes no `*` says so itself.
  for (const fleet of named) if (fleet !== '*') checkFleet(principal, fleet);
  if (named.length === 0 && rule === 'query') checkFleet(principal, DEFAULT_FLEET);
}

/** What is still open when its token is taken away: a stream, a read that waits, a file on its way. */
function mayLast({ method, headers }: Request, { needs }: Route): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false;
  return needs === 'stream' || needs === 'export' || headers.prefer !== undefined;
}

function endWhenRevoked(response: Response, { revoked }: Principal): void {
  const end = (): void => {
    response.destroy();
  };
  revoked.addEventListener('abort', end);
  response.once('close', () => {
    revoked.removeEventListener('abort', end);
  });
}
