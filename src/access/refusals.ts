import type { ProblemCode } from '../http/problem.js';

/**
 * The codes of answers that go on record: who is not known (also when that is tried too often), who may not, and the
 * commands that the state or a key forbids. A conflict of another call is nobody's attempt at the switch.
 */
export const REFUSAL_CODES = [
  'unauthenticated',
  'too-many-attempts',
  'forbidden',
  'kill-switch-active',
  'killed-meanwhile',
  'generation-mismatch',
  'idempotency-key-reused',
] as const satisfies readonly ProblemCode[];

export function isRefusal(code: ProblemCode): boolean {
  return (REFUSAL_CODES as readonly ProblemCode[]).includes(code);
}
