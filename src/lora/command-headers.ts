import { v4 as uuid } from 'uuid';

import type { Caller } from '../http/caller.js';
import { Problem } from '../http/problem.js';

/** What a command's headers say, and which of them a kill had to set aside. */
export interface CommandHeaders {
  readonly key: string;
  readonly ifMatch: string | undefined;
  readonly ignored: readonly string[];
}

const KEY = /^[\x20-\x7e]{1,255}$/;
const TAG = '(W/)?("?[0-9a-f]{8}-\\d{1,16}"?|"?\\d{1,16}"?)';
const TAGS = new RegExp(`^\\s*(\\*|${TAG}(\\s*,\\s*${TAG})*)\\s*$`);

/** @throws Problem 400 when a header is not well-formed; of a kill it is set aside instead */
export function readCommandHeaders({ headers }: Caller, isKill: boolean): CommandHeaders {
  const ignored: string[] = [];
  const read = (name: string, pattern: RegExp, rule: string): string | undefined => {
    const value = headers[name.toLowerCase()];
    if (value === undefined) return undefined;
    if (typeof value === 'string' && pattern.test(value)) return value;
    if (!isKill) throw Problem.invalid(name, rule);
    ignored.push(`the header ${name} (${rule})`);
    return undefined;
  };
  return {
    key: read('Idempotency-Key', KEY, 'must be 1 to 255 printable ASCII characters') ?? uuid(),
    ifMatch: read('If-Match', TAGS, 'must be an ETag of the state, its generation, or *'),
    ignored,
  };
}
