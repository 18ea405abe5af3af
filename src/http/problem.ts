import { type LogUnavailable, type Refusal, type RefusalCode } from '../lora/domain/errors.js';

/** Every code a problem document can carry, with its status and title. */
export const PROBLEMS = {
  'validation-failed': [400, 'The request is not well-formed'],
  unauthenticated: [401, 'Who calls is not known'],
  forbidden: [403, 'The caller may not do this'],
  'not-found': [404, 'There is nothing at this address'],
  'no-state-yet': [404, 'The fleet had no state yet at that time'],
  'unknown-fleet': [404, 'There is no fleet of that name'],
  'unknown-engine': [404, 'There is no engine of that id'],
  'no-signing-key': [404, 'This service signs no checkpoints'],
  'no-checkpoint-yet': [404, 'There is no checkpoint yet'],
  'method-not-allowed': [405, 'This address does not take that method'],
  'kill-switch-active': [409, 'The kill-switch is active'],
  'killed-meanwhile': [409, 'LoRA was disabled while the command was under way'],
  'engine-in-other-fleet': [409, 'The engine belongs to another fleet'],
  'past-changed': [409, 'The log is not what it was'],
  'generation-mismatch': [412, 'The fleet has moved on'],
  'payload-too-large': [413, 'The body is too large'],
  'unsupported-media-type': [415, 'The body is not JSON'],
  'idempotency-key-reused': [422, 'The Idempotency-Key belongs to another command'],
  'too-many-attempts': [429, 'Too many tokens that are not good have come from there'],
  'internal-error': [500, 'The service failed'],
  'too-many-streams': [503, 'This replica has no place for another stream'],
  'issuer-unavailable': [503, 'The issuer of the token cannot be asked'],
  'log-unavailable': [503, 'The log cannot be reached'],
} as const satisfies Record<string, readonly [number, string]> &
  Record<RefusalCode, readonly [number, string]>;

export type ProblemCode = keyof typeof PROBLEMS;

export interface FieldError {
  readonly field: string;
  readonly message: string;
}

/** An answer that is not a success, as an exception. */
export class Problem extends Error {
  override readonly name = 'Problem';

  constructor(
    readonly code: ProblemCode,
    detail: string,
    readonly more: {
      readonly errors?: readonly FieldError[];
      readonly notice?: string;
      readonly outcome?: 'none' | 'unknown';
      readonly idempotency_key?: string;
    } = {},
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail);
  }

  static invalid(field: string, message: string): Problem {
    return Problem.allInvalid([{ field, message }]);
  }

  static allInvalid(errors: readonly FieldError[]): Problem {
    const detail = errors.map(({ field, message }) => `${field} ${message}.`).join(' ');
    return new Problem('validation-failed', detail, { errors });
  }

  static refused(refusal: Refusal): Problem {
    return new Problem(refusal.code, refusal.message, { notice: refusal.notice });
  }

  static unavailable({ message, outcome, idempotencyKey }: LogUnavailable): Problem {
    const more = { outcome, idempotency_key: idempotencyKey };
    return new Problem('log-unavailable', message, more, { 'Retry-After': '1' });
  }

  get status(): number {
    return PROBLEMS[this.code][0];
  }

  /** The problem document of RFC 9457. */
  toDocument(instance: string): Record<string, unknown> {
    return {
      type: `urn:lora-control-plane:problem:${this.code}`,
      title: PROBLEMS[this.code][1],
      status: this.status,
      detail: this.message,
      instance,
      code: this.code,
      ...this.more,
    };
  }
}
