import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Matches, registerDecorator, ValidateIf, validateSync } from 'class-validator';

import { ADAPTER_VERSION_PATTERN, DEFAULT_FLEET, FLEET_PATTERN } from '../lora/domain/names.js';
import { type FieldError, Problem } from './problem.js';

export type Dto<T extends object> = new () => T;

/** Absent is fine; null is not absent. */
export function Optional(): PropertyDecorator {
  return ValidateIf((_, value) => value !== undefined);
}

/** 1 to `max` characters (Unicode code points), not only white space. */
export function Text(max: number): PropertyDecorator {
  return (target, property) => {
    registerDecorator({
      name: 'text',
      target: target.constructor,
      propertyName: String(property),
      options: { message: `must be a text of 1 to ${max} characters, not only spaces` },
      validator: {
        validate: (value) => typeof value === 'string' && value.trim() !== '' && [...value].length <= max,
      },
    });
  };
}

/** A free text that a body may have. */
export function OptionalText(max: number, description: string): PropertyDecorator {
  return applyDecorators(
    Optional(),
    Text(max),
    ApiPropertyOptional({ type: String, minLength: 1, maxLength: max, description }),
  );
}

const VERSION_RULE = `must match ${ADAPTER_VERSION_PATTERN.source}`;

export function AdapterVersion(): PropertyDecorator {
  return applyDecorators(
    Matches(ADAPTER_VERSION_PATTERN, { message: VERSION_RULE }),
    ApiProperty({ type: String, pattern: ADAPTER_VERSION_PATTERN.source, example: 'v1.2' }),
  );
}

export function OptionalAdapterVersion(description: string): PropertyDecorator {
  return applyDecorators(
    Optional(),
    Matches(ADAPTER_VERSION_PATTERN, { message: VERSION_RULE }),
    ApiPropertyOptional({
      type: String,
      pattern: ADAPTER_VERSION_PATTERN.source,
      example: 'v1.2',
      description,
    }),
  );
}

export function FleetName(): PropertyDecorator {
  return Matches(FLEET_PATTERN, { message: `must match ${FLEET_PATTERN.source}` });
}

export class FleetQuery {
  @Optional()
  @FleetName()
  @ApiPropertyOptional({ type: String, pattern: FLEET_PATTERN.source, default: DEFAULT_FLEET })
  fleet: string = DEFAULT_FLEET;
}

/** For routes that take no parameter in the query. */
export class NoQuery {}

/** How many entries a page has. */
export function PageSize(): PropertyDecorator {
  return applyDecorators(
    Optional(),
    Matches(/^([1-9]\d?|[1-4]\d\d|500)$/, { message: 'must be a number from 1 to 500' }),
    ApiPropertyOptional({ type: Number, minimum: 1, maximum: 500, default: 100 }),
  );
}

/** A position of the log, or a number of events; also what a list by number goes on from. */
export const POSITION = /^[1-9]\d{0,14}$/;

export class PositionPath {
  @Matches(POSITION, { message: 'must be a position' })
  position!: string;
}

/** Where a page goes on, in a list by number. */
export function NumberCursor(): PropertyDecorator {
  return applyDecorators(
    Optional(),
    Matches(POSITION, { message: 'must be the next_cursor of the page before' }),
    ApiPropertyOptional({ type: String, description: 'The `next_cursor` of the page before.' }),
  );
}

const TIME = /^(?!0000)\d{4}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,6})?(Z|[+-](0\d|1[0-5]):[0-5]\d)$/;

/** An RFC 3339 time, up to microseconds; it stays a text, because a Date would cut them off. */
export function OptionalTime(description: string): PropertyDecorator {
  return (target, property) => {
    Optional()(target, property);
    ApiPropertyOptional({ type: String, format: 'date-time', description })(target, property);
    registerDecorator({
      name: 'time',
      target: target.constructor,
      propertyName: String(property),
      options: { message: 'must be a time such as 2026-11-24T02:14:07Z' },
      validator: {
        validate: (value) => typeof value === 'string' && TIME.test(value) && isOnCalendar(value),
      },
    });
  };
}

/** Date.parse takes 31 February for 3 March; the database would not. */
function isOnCalendar(time: string): boolean {
  const day = time.slice(0, 10);
  const midnight = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(Date.parse(time)) && midnight.toISOString().startsWith(day);
}

const UNKNOWN_FIELD = 'is not a known field';

/** What is wrong with a value by its DTO, field by field; nothing when it is fine. */
export function faultsOf<T extends object>(
  dto: Dto<T>,
  value: object,
): { instance: T; faults: FieldError[] } {
  // A key such as "constructor" would hide the DTO's own rules from the validator.
  const reserved = Object.keys(value).filter((key) => key in Object.prototype);
  const fields = Object.entries(value).filter(([key]) => !reserved.includes(key));
  const instance = Object.assign(new dto(), Object.fromEntries(fields));
  const failures = validateSync(instance, {
    whitelist: true,
    forbidNonWhitelisted: true,
    forbidUnknownValues: false,
    validationError: { target: false, value: false },
  });
  const faults = reserved.map((field) => ({ field, message: UNKNOWN_FIELD }));
  for (const { property, constraints = {} } of failures) {
    const message =
      'whitelistValidation' in constraints ? UNKNOWN_FIELD : Object.values(constraints).join(', ');
    faults.push({ field: property, message });
  }
  return { instance, faults };
}

/** @throws Problem 400 naming every field that is wrong */
export function validated<T extends object>(dto: Dto<T>, value: object): T {
  const { instance, faults } = faultsOf(dto, value);
  if (faults.length > 0) throw Problem.allInvalid(faults);
  return instance;
}
