import { readFileSync } from 'node:fs';
import type { EventBody } from '../../src/lora/domain/events.js';

/** An event with the text and the hashes that it has for ever; computed by a program in another language. */
export interface GoldenEvent {
  readonly name: string;
  readonly position: number;
  readonly recorded_at: string;
  /** `recorded_at` since 1970; text, because some are beyond what a number keeps exact. */
  readonly microseconds: string;
  readonly event: EventBody;
  readonly body: string;
  readonly body_sha256: string;
  readonly leaf_hash: string;
}

export const GOLDEN_EVENTS = JSON.parse(
  readFileSync(new URL('golden-events.json', import.meta.url), 'utf8'),
) as readonly GoldenEvent[];
