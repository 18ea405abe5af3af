import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Logger } from '@nestjs/common';
import type { Application, Request, Response } from 'express';

import { LogUnavailable, Refusal, UnknownFleet } from '../lora/domain/errors.js';
import { CauseLog } from './cause-log.js';
import { admissionOf } from './identity.js';
import { Problem } from './problem.js';

/** Answers every exception with a problem document; what is not foreseen is logged and not shown. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger('Http');
  private readonly causes = new CauseLog();

  /** @param answered is told of every problem, once it has been answered */
  constructor(private readonly answered: (problem: Problem, request: Request) => void) {}

  catch(exception: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<Request>();
    const response = host.switchToHttp().getResponse<Response>();
    const problem = withNotice(this.problemOf(exception, request), request);
    if (response.headersSent) {
      response.destroy();
      return;
    }
    response
      .status(problem.status)
      .set(problem.headers)
      .type('application/problem+json')
      .end(JSON.stringify(problem.toDocument(request.path)));
    this.answered(problem, request);
  }

  private problemOf(exception: unknown, request: Request): Problem {
    if (exception instanceof Problem) return exception;
    if (exception instanceof Refusal) return Problem.refused(asKnownTo(request, exception));
    if (exception instanceof LogUnavailable) {
      this.causes.note(exception, performance.now());
      return Problem.unavailable(exception);
    }
    if (exception instanceof HttpException && exception.getStatus() === 404) return nothingHere(request);
    // Express refuses a path that it cannot decode with a status of its own.
    if (isClientError(exception)) return new Problem('validation-failed', 'The address cannot be decoded.');
    this.logger.error(
      exception instanceof Error ? (exception.stack ?? exception.message) : String(exception),
    );
    return new Problem(
      'internal-error',
      'The service failed in a way that was not foreseen; it is in its log.',
    );
  }
}

/** Who is limited to some fleets hears of no others. */
function asKnownTo(request: Request, refusal: Refusal): Refusal {
  const { fleets } = admissionOf(request).identity;
  return fleets !== null && refusal instanceof UnknownFleet ? refusal.among(fleets) : refusal;
}

/** A command that is refused says so, whatever it is refused for. */
function withNotice(problem: Problem, { method }: Request): Problem {
  const { code, message, more, headers, status } = problem;
  const command = method === 'POST' || method === 'PUT' || method === 'DELETE';
  if (!command || more.notice !== undefined || ![400, 401, 403, 413, 415, 429].includes(status))
    return problem;
  return new Problem(code, message, { ...more, notice: 'Nothing was changed.' }, headers);
}

function isClientError(exception: unknown): boolean {
  if (exception instanceof HttpException) return exception.getStatus() === 400;
  return exception instanceof URIError;
}

/** What Express's router knows of an address. */
interface Layer {
  readonly route?: { readonly methods: Readonly<Record<string, boolean>> };
  match(path: string): boolean;
}

/** 405 where the address exists for other methods, else 404. */
function nothingHere(request: Request): Problem {
  const allowed = new Set<string>();
  for (const layer of (request.app as Application).router.stack as unknown as Layer[]) {
    if (!layer.route || !layer.match(request.path)) continue;
    for (const method of Object.keys(layer.route.methods)) allowed.add(method.toUpperCase());
  }
  if (allowed.has('GET')) allowed.add('HEAD');
  if (allowed.size === 0) return new Problem('not-found', `There is nothing at ${request.path}.`);
  const list = [...allowed].sort().join(', ');
  return new Problem('method-not-allowed', `${request.path} takes ${list}.`, {}, { Allow: list });
}
