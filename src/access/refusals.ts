import { type ProblemCode, PROBLEMS } from '../http/problem.js';

/** Who is not known, who may not, what the state or another caller's command forbids, and who tries too often. */
const STATUSES: readonly number[] = [401, 403, 409, 412, 422, 429];

/** The codes of answers that go on record. */
export const REFUSAL_CODES: readonly ProblemCode[] = (Object.keys(PROBLEMS) as ProblemCode[]).filter((code) =>
  STATUSES.includes(PROBLEMS[code][0]),
);

export function isRefusal(code: ProblemCode): boolean {
  return STATUSES.includes(PROBLEMS[code][0]);
}
