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

  with(headers: Readonly<Record<string, string>>): Answer<T> {
    return new Answer(this.body, { ...this.headers, ...headers }, this.status);
  }
}

/** Sends an {@link Answer} as it says; an interceptor for it would cost more than the rest of a read. */
export class AnswerAdapter extends ExpressAdapter {
  override reply(response: Response, body: unknown, statusCode?: number): unknown {
    if (!(body instanceof Answer)) return super.reply(response, body, statusCode) as unknown;
    const { status, headers, body: content } = body as Answer<unknown>;
    if (content === undefined) return response.writeHead(status, headers).end();
    const isText = typeof content === 'string';
    const text = isText ? content : JSON.stringify(content);
    response.writeHead(status, {
      ...(isText ? {} : jsonHeaders),
      ...headers,
      'Content-Length': Buffer.byteLength(text),
    });
    return response.end(text);
  }
}
