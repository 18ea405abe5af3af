import { createParamDecorator, type ExecutionContext, Injectable, type PipeTransform } from '@nestjs/common';
import type { Request } from 'express';

import { noteBodyArrival } from './caller.js';
import { checkStillAdmitted } from './identity.js';
import { parseJsonObject, readBytes, refuseUnstorable } from './json-body.js';
import { type FieldError, Problem } from './problem.js';
import { type Dto, faultsOf, validated } from './validation.js';

/** How long the body of a command may take; the kill of a caller whose body stalls goes ahead without it. */
const BODY_PATIENCE_MS = 10_000;
const KILL_BODY_PATIENCE_MS = 1_000;

/** How many queries of a route are kept as they were read, and how long one may be. */
const QUERIES_KNOWN = 1000;
const QUERY_KNOWN_MAX = 300;

const FromRequest = createParamDecorator((_: unknown, context: ExecutionContext) =>
  context.switchToHttp().getRequest<Request>(),
);

/** The JSON body as its DTO. An absent body is an empty one. */
export const JsonBody = <T extends object>(dto: Dto<T>): ParameterDecorator =>
  FromRequest(new JsonBodyPipe(dto));

/** The JSON body of a kill: what cannot be used is set aside and named, never a reason to refuse. */
export const LenientJsonBody = <T extends object>(dto: Dto<T>): ParameterDecorator =>
  FromRequest(new LenientJsonBodyPipe(dto));

/** The query as its DTO: each parameter once, none that is unknown. Clients ask the same again and again. */
export const StrictQuery = <T extends object>(dto: Dto<T>): ParameterDecorator => {
  const known = new Map<string, T>();
  return createParamDecorator((_: unknown, context: ExecutionContext): T => {
    const request = context.switchToHttp().getRequest<Request>();
    const text = queryText(request);
    const before = known.get(text);
    if (before !== undefined) return before;
    const query = Object.freeze(validated(dto, readQuery(request)));
    if (known.size >= QUERIES_KNOWN) known.clear();
    if (text.length <= QUERY_KNOWN_MAX) known.set(text, query);
    return query;
  })();
};

/** The parameters of the path as their DTO. */
export const StrictPath = <T extends object>(dto: Dto<T>): ParameterDecorator =>
  FromRequest(new StrictPathPipe(dto));

/** A DTO of which some was set aside. */
export interface Lenient<T> {
  readonly value: T;
  readonly ignored: readonly string[];
  /** The text of a body that was set aside as a whole, as far as it came, for what must not be overlooked. */
  readonly unread?: string;
}

@Injectable()
class JsonBodyPipe<T extends object> implements PipeTransform<Request, Promise<T>> {
  constructor(private readonly dto: Dto<T>) {}

  async transform(request: Request): Promise<T> {
    const bytes = await readBytes(request, BODY_PATIENCE_MS);
    noteBodyArrival(request);
    checkStillAdmitted(request);
    return validated(this.dto, parseJsonObject(request, bytes) ?? {});
  }
}

@Injectable()
class LenientJsonBodyPipe<T extends object> implements PipeTransform<Request, Promise<Lenient<T>>> {
  constructor(private readonly dto: Dto<T>) {}

  async transform(request: Request): Promise<Lenient<T>> {
    const chunks: Buffer[] = [];
    let body: Readonly<Record<string, unknown>>;
    try {
      body = parseJsonObject(request, await readBytes(request, KILL_BODY_PATIENCE_MS, chunks)) ?? {};
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const ignored = [`the body (${error.message.replace(/\.$/, '')})`];
      return { value: new this.dto(), ignored, unread: Buffer.concat(chunks).toString() };
    }
    const { instance, faults } = faultsOf(this.dto, body);
    if (faults.length === 0) return { value: instance, ignored: [] };
    const wrong = new Set(faults.map(({ field }) => field));
    const usable = Object.fromEntries(Object.entries(body).filter(([field]) => !wrong.has(field)));
    return {
      value: validated(this.dto, usable),
      ignored: faults.map(({ field, message }) => `${field.slice(0, 80)} (${message})`),
    };
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
  for (const [name, value] of queryOf(request)) {
    refuseUnstorable(name, value);
    if (name in values) twice.push({ field: name, message: 'is given twice' });
    values[name] = value;
  }
  if (twice.length > 0) throw Problem.allInvalid(twice);
  return values;
}

/** The query as it was sent, whatever the rest of the address may be. */
export function queryOf(request: Request): URLSearchParams {
  return new URLSearchParams(queryText(request));
}

function queryText({ originalUrl }: Request): string {
  const mark = originalUrl.indexOf('?');
  return mark < 0 ? '' : originalUrl.slice(mark + 1);
}
