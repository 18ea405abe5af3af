import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Request } from 'express';

import { queryOf } from '../http/params.js';
import { Problem } from '../http/problem.js';
import { DEFAULT_FLEET, FLEET_PATTERN } from './domain/names.js';

/** What a kill is aimed at. */
export interface KillTarget {
  /** A fleet's name, or `*` for all. */
  readonly fleet: string;
  /** Parameters of the query that say nothing to a kill. */
  readonly ignored: readonly string[];
}

/** Parameters that people put into the query although they belong into the body: they name no fleet. */
const HARMLESS = new Set(['reason', 'reference']);

/**
 * The one thing of a kill that must be well-formed. Anything else in the query is set aside, unless it could have
 * been meant to name the fleet: a slip such as `?flet=canary` must not kill the default fleet instead.
 * @throws Problem 400
 */
export function killTarget(query: URLSearchParams): KillTarget {
  const fleets = query.getAll('fleet');
  const [fleet] = fleets;
  if (fleets.length > 1) throw Problem.invalid('fleet', 'is given twice');
  if (fleet !== undefined && fleet !== '*' && !FLEET_PATTERN.test(fleet)) {
    throw Problem.invalid('fleet', `must be * or match ${FLEET_PATTERN.source}`);
  }
  const names = [...new Set(query.keys())].filter((name) => name !== 'fleet');
  const doubtful = names.find((name) => !HARMLESS.has(name));
  if (fleet === undefined && doubtful !== undefined) {
    throw Problem.invalid(
      doubtful,
      'is not known, so it is not clear which fleet is meant: name it as ?fleet=',
    );
  }
  return {
    fleet: fleet ?? DEFAULT_FLEET,
    ignored: names.map((name) => `${name.slice(0, 80)} (not a parameter of the query)`),
  };
}

/**
 * A body may repeat the fleet, but not name another one.
 * @throws Problem 400
 */
export function refuseOtherFleet(target: KillTarget, named: unknown): void {
  if (named === undefined || named === target.fleet) return;
  throw Problem.invalid(
    'fleet',
    `in the body is not the fleet that the query names (${target.fleet}): name the fleet as ?fleet=`,
  );
}

/** The target of a kill, from the query. */
export const FromKillTarget = createParamDecorator((_: unknown, context: ExecutionContext) =>
  killTarget(queryOf(context.switchToHttp().getRequest<Request>())),
);
