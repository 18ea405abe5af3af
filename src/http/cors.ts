import type { CorsOptions } from '@nestjs/common/interfaces/external/cors-options.interface.js';

/** What the pages of those origins may do in a browser: all calls, with a token of their own; cookies say nothing here. */
export function corsFor(origins: readonly string[]): CorsOptions {
  return {
    origin: [...origins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
    allowedHeaders: [
      ...['Authorization', 'Content-Type', 'Idempotency-Key', 'If-Match', 'If-None-Match', 'Last-Event-ID'],
      ...['Prefer', 'X-Request-Id'],
    ],
    exposedHeaders: [
      ...['ETag', 'Idempotency-Replayed', 'Lora-Receipt', 'Lora-Superseded-By', 'Retry-After', 'Warning'],
      ...['WWW-Authenticate', 'X-Request-Id'],
    ],
    maxAge: 600,
  };
}
