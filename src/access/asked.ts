import type { Request } from 'express';

import { queryOf } from '../http/params.js';
import { DEFAULT_FLEET, FLEET_PATTERN } from '../lora/domain/names.js';
import { ROUTES } from './roles.js';

const PATH_MAX = 200;

/** What is called, as the table of routes names it. Express answers HEAD as GET. */
export function routeOf(request: Request): string {
  const { path = request.path.slice(0, PATH_MAX) } = (request.route ?? {}) as { path?: string };
  return `${request.method === 'HEAD' ? 'GET' : request.method} ${path}`;
}

/** The fleet that a call means; null where it means none, or names none that could exist. */
export function fleetOf(request: Request): string | null {
  const route = ROUTES[routeOf(request)];
  const rule = typeof route === 'object' ? route.fleet : 'none';
  const named = rule === 'path' ? String(request.params.fleet) : queryOf(request).get('fleet');
  const fleet = named ?? (rule === 'query' ? DEFAULT_FLEET : null);
  return fleet === '*' || (fleet !== null && FLEET_PATTERN.test(fleet)) ? fleet : null;
}
