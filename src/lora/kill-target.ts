import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Request } from 'express';

import { type Lenient, queryOf } from '../http/params.js';
import { Problem } from '../http/problem.js';
import { DEFAULT_FLEET, FLEET_PATTERN } from './domain/names.js';
import type { DisableBody } from './lora.dto.js';

/** What a kill is aimed at. */
export interface KillTarget {
  /** A fleet's name, or `*` for all. */
  readonly fleet: string;
  /** Whether the query names it. */
  readonly named: boolean;
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
    named: fleet !== undefined,
    ignored: names.map((name) => `${name.slice(0, 80)} (not a parameter of the query)`),
  };
}

/**
 * A body may repeat the fleet, but not name another one. One that could not be read and seems to name a fleet must not
 * kill the default fleet instead: then the query has to name it.
 * @throws Problem 400
 */
export function refuseOtherFleet(target: KillTarget, { value, unread }: Lenient<DisableBody>): void {
  if (target.named && unread !== undefined) return;
  const named = unread === undefined ? value.fleet : fleetIn(unread);
  if (named === UNCLEAR) {
    throw Problem.invalid(
      'fleet',
      'seems to be named in a body that cannot be read, so it is not clear which fleet is meant: name it as ?fleet=',
    );
  }
  if (named === undefined || named === target.fleet) return;
  throw Problem.invalid(
    'fleet',
    `in the body is not the fleet that the query names (${target.fleet}): name the fleet as ?fleet=`,
  );
}

/** A text that may name a fleet, but not so that it could be read. */
const UNCLEAR = Symbol('unclear');

/** The fleet that a body names which was set aside, perhaps for its content type alone. */
function fleetIn(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return /\bfleet\b/i.test(text) ? UNCLEAR : undefined;
  }
  const keys = text.match(/"fleet"\s*:/g)?.length ?? 0;
  const own = typeof value === 'object' && value !== null && 'fleet' in value ? [value.fleet] : [];
  if (keys > own.length) return UNCLEAR; // twice, or further inside
  return own[0];
}

/** The target of a kill, from the query. */
export const FromKillTarget = createParamDecorator((_: unknown, context: ExecutionContext) =>
  killTarget(queryOf(context.switchToHttp().getRequest<Request>())),
);
