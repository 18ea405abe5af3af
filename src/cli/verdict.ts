import type { BodyOf, Expected } from './answers.js';
import type { Heard } from './http-call.js';
import { printable } from './text.js';

/** A refusal by the control plane. */
export interface Problem {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly notice: string | undefined;
}

/** What one answer means. */
export type Verdict<T> =
  | { readonly type: 'done'; readonly value: T }
  /** Final: another try would hear the same. */
  | { readonly type: 'refused'; readonly problem: Problem }
  /** Another server than the control plane: it has done nothing, and never will. */
  | { readonly type: 'foreign'; readonly why: string; readonly status?: number }
  /** `mayHaveLanded`: of a command, that it may have taken effect all the same. */
  | {
      readonly type: 'again';
      readonly mayHaveLanded: boolean;
      readonly why: string;
      /** What the answer asks for, at least. */
      readonly afterMs: number;
    };

export interface Answer<Body> {
  readonly status: number;
  readonly headers: Heard['headers'];
  readonly body: Body;
}

const PROBLEM = 'urn:lora-control-plane:problem:';
/** What is answered before a call is even begun. */
const NOT_LET_IN: readonly unknown[] = ['too-many-streams', 'issuer-unavailable'];

/** Judges an answer. What is not as expected is another server's: a login page must not pass for a kill. */
export function judge<E extends Expected>(heard: Heard, expected: E, now: Date): Verdict<Answer<BodyOf<E>>> {
  const { status, headers } = heard;
  const body = jsonObject(heard.text);
  if (status === expected) return { type: 'done', value: { status, headers, body: null as BodyOf<E> } };
  if (status < 300 && body !== undefined && expected in body) {
    // The control plane's answer has the shape of its contract.
    return { type: 'done', value: { status, headers, body: body as unknown as BodyOf<E> } };
  }
  if (status < 300 && body === undefined && headers['content-type']?.includes('json') === true) {
    return { type: 'again', mayHaveLanded: true, why: 'answers with JSON that is cut off', afterMs: 0 };
  }
  const afterMs = retryAfter(headers['retry-after'], now);
  const type = body?.type;
  if (body !== undefined && typeof type === 'string' && type.startsWith(PROBLEM)) {
    return ofProblem(status, body, afterMs);
  }
  // A proxy in front of the control plane has no word of whether it passed the command on.
  if (status >= 500 || status === 408 || status === 429) {
    const mayHaveLanded = status !== 429;
    return { type: 'again', mayHaveLanded, why: `answers ${status}`, afterMs };
  }
  return foreign(heard);
}

function ofProblem(status: number, body: Readonly<Record<string, unknown>>, afterMs: number): Verdict<never> {
  const detail = typeof body.detail === 'string' ? printable(body.detail) : `answers ${status}`;
  if (status >= 500) {
    // Only its own word makes it certain that nothing happened.
    const mayHaveLanded = body.outcome !== 'none' && !NOT_LET_IN.includes(body.code);
    return { type: 'again', mayHaveLanded, why: `says: ${detail}`, afterMs };
  }
  const notice = typeof body.notice === 'string' ? printable(body.notice) : undefined;
  const code = typeof body.code === 'string' ? body.code : '';
  return { type: 'refused', problem: { status, code, detail, notice } };
}

function jsonObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

export function foreign({ status, headers }: Heard): Verdict<never> {
  const kind = printable(headers['content-type']?.split(';')[0] ?? 'nothing');
  const to = headers.location === undefined ? '' : `, redirects to ${printable(headers.location)}`;
  return { type: 'foreign', why: `is not the control plane (answers ${status} with ${kind}${to})`, status };
}

const RETRY_AFTER_MAX_MS = 60_000;

/** @returns milliseconds; RFC 9110 has seconds or a date */
export function retryAfter(header: string | undefined, now: Date): number {
  if (header === undefined) return 0;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now.getTime();
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(0, ms), RETRY_AFTER_MAX_MS);
}
