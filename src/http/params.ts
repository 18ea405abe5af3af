import { createParamDecorator, type ExecutionContext, Injectable, type PipeTransform } from '@nestjs/common';
import type { Request } from 'express';

import { readJsonObject, refuseUnstorable } from './json-body.js';
import { type FieldError, Problem } from './problem.js';
import { type Dto, faultsOf, validated } from './validation.js';

/** How long the body of a command may take; the kill of a caller whose body stalls goes ahead without it. */
const BODY_PATIENCE_MS = 10_000;
const KILL_BODY_PATIENCE_MS = 1_000;

const FromRequest = createParamDecorator((_: unknown, context: ExecutionContext) =>
  context.switchToHttp().getRequest<Request>(),
);

/** The JSON body as its DTO. An absent body is an empty one. */
export const JsonBody = <T extends object>(dto: Dto<T>): ParameterDecorator =>
  FromRequest(new JsonBodyPipe(dto));

/** The JSON body of a kill: what cannot be used is set aside and named, never a reason to refuse. */
export const LenientJsonBody = <T extends object>(dto: Dto<T>): ParameterDecorator =>
  FromRequest(new LenientJsonBodyPipe(dto));

/** The query as its DTO: each parameter once, none that is unknown. */
export const StrictQuery = <T extends object>(dto: Dto<T>): ParameterDecorator =>
  FromRequest(new StrictQueryPipe(dto));

/** The parameters of the path as their DTO. */
export const StrictPath = <T extends object>(dto: Dto<T>): ParameterDecorator =>
  FromRequest(new StrictPathPipe(dto));

/** A DTO of which some was set aside. */
export interface Lenient<T> {
  readonly value: T;
  readonly ignored: readonly string[];
}

@Injectable()
class JsonBodyPipe<T extends object> implements PipeTransform<Request, Promise<T>> {
  constructor(private readonly dto: Dto<T>) {}

  async transform(request: Request): Promise<T> {
    return validated(this.dto, (await readJsonObject(request, BODY_PATIENCE_MS)) ?? {});
  }
}

@Injectable()
class LenientJsonBodyPipe<T extends object> implements PipeTransform<Request, Promise<Lenient<T>>> {
  constructor(private readonly dto: Dto<T>) {}

  async transform(request: Request): Promise<Lenient<T>> {
    let body: Readonly<Record<string, unknown>>;
    try {
      body = (await readJsonObject(request, KILL_BODY_PATIENCE_MS)) ?? {};
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return { value: new this.dto(), ignored: [`the body (${error.message.replace(/\.$/, '')})`] };
    }
    const { faults } = faultsOf(this.dto, body);
    const wrong = new Set(faults.map(({ field }) => field));
    const usable = Object.fromEntries(Object.entries(body).filter(([field]) => !wrong.has(field)));
    return {
      value: validated(this.dto, usable),
      ignored: faults.map(({ field, message }) => `${field.slice(0, 80)} (${message})`),
    };
  }
}

@Injectable()
class StrictQueryPipe<T extends object> implements PipeTransform<Request, T> {
  constructor(private readonly dto: Dto<T>) {}

  transform(request: Request): T {
    return validated(this.dto, readQuery(request));
  }
}

@Injectable()
class StrictPathPipe<T extends object> implements PipeTransform<Request, T> {
  constructor(private readonly dto: Dto<T>) {}

  transform(request: Request): T {
    return validated(this.dto, request.params);
  }
}

/**
 * The query's parameters.
 * @throws Problem 400 when one is given twice or holds what no text may
 */
export function readQuery(request: Request): Record<string, string> {
  const values: Record<string, string> = Object.create(null) as Record<string, string>;
  const twice: FieldError[] = [];
  for (const [name, value] of new URL(request.originalUrl, 'http://localhost').searchParams) {
    refuseUnstorable(name, value);
    if (name in values) twice.push({ field: name, message: 'is given twice' });
    values[name] = value;
  }
  if (twice.length > 0) throw Problem.allInvalid(twice);
  return values;
}
