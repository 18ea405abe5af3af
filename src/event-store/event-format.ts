import canonicalizeModule from 'canonicalize';

import type { EventBody } from '../lora/domain/events.js';

// The package is CommonJS whose types promise a default export.
const canonicalize = canonicalizeModule as unknown as (value: unknown) => string | undefined;

/** JSON in the one form of RFC 8785: what is hashed is the same text on every platform. */
export function canonicalJson(value: EventBody | Readonly<Record<string, unknown>>): string {
  const text = canonicalize(value);
  if (text === undefined) throw new Error('Only JSON values have a canonical form.');
  return text;
}
