import { ExpressAdapter } from '@nestjs/platform-express';
import type { Response } from 'express';

/** For an answer whose body is JSON text already. */
export const jsonHeaders = { 'Content-Type': 'application/json; charset=utf-8' } as const;

/** A success whose status or headers are not the usual ones of its route. A text is sent as it is. */
export class Answer<T> {
  constructor(
    readonly body: T,
    readonly headers: Readonly<Record<string, string>> = {},
    readonly status = 200,
  ) {}

  /** What goes on the wire, made once: an answer may be given to many. */
  get wire(): Wire {
    return (this.made ??= wireOf(this.body, this.headers));
  }

  private made: Wire | undefined;

  with(headers: Readonly<Record<string, string>>): Answer<T> {
    return new Answer(this.body, { ...this.headers, ...headers }, this.status);
  }
}

interface Wire {
  readonly headers: Readonly<Record<string, string | number>>;
  readonly text: string | undefined;
}

function wireOf(body: unknown, headers: Readonly<Record<string, string>>): Wire {
  if (body === undefined) return { headers, text: undefined };
  const ready = typeof body === 'string';
  const text = ready ? body : JSON.stringify(body);
  const length = { 'Content-Length': Buffer.byteLength(text) };
  return { headers: ready ? { ...headers, ...length } : { ...jsonHeaders, ...headers, ...length }, text };
}

/** Sends an {@link Answer} as it says; an interceptor for it would cost more than the rest of a read. */
export class AnswerAdapter extends ExpressAdapter {
  override reply(response: Response, body: unknown, statusCode?: number): unknown {
    if (!(body instanceof Answer)) return super.reply(response, body, statusCode) as unknown;
    const { headers, text } = body.wire;
    return response.writeHead(body.status, headers).end(text);
  }
}
