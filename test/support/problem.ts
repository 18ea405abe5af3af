import { expect } from '@jest/globals';

import { PROBLEMS, type ProblemCode } from '../../src/http/problem.js';
import type { Reply } from './http.js';
import type { TestDatabase } from './database.js';

/** An answer without the histories, so that a failing test can be read. */
export function short({ status, body }: Reply): { status: number; body: Record<string, unknown> } {
  const histories = ['rollback_history', 'activation_history'];
  const rest = Object.entries((body as object | undefined) ?? {}).filter(
    ([name]) => !histories.includes(name),
  );
  return { status, body: Object.fromEntries(rest) };
}

/** A problem document, whole: every member that RFC 9457 and the contract name, and nothing internal. */
export function expectProblem(reply: Reply, code: ProblemCode, instance: string): void {
  const [status, title] = PROBLEMS[code];
  expect(short(reply)).toMatchObject({
    status,
    body: {
      type: `urn:lora-control-plane:problem:${code}`,
      title,
      status,
      detail: expect.stringMatching(/\S/) as unknown,
      instance,
      code,
    },
  });
  expect(reply.headers.get('content-type')).toMatch(/^application\/problem\+json(;|$)/);
  expect(JSON.stringify(reply.body)).not.toMatch(
    /node_modules|src\/|dist\/|\\n +at |select |insert |postgres:|SyntaxError|TypeError|lock_head|append_batch|log_since|log_snapshot/,
  );
}

/** A 400 that names the field. */
export function expectInvalid(reply: Reply, field: string, instance: string): void {
  expectProblem(reply, 'validation-failed', instance);
  const { errors } = reply.body as unknown as { errors: { field: string; message: string }[] };
  expect(errors.map((error) => error.field)).toContain(field);
  for (const error of errors) expect(error.message).toMatch(/\S/);
}

/** Where the log stands. */
export async function headOf(database: TestDatabase): Promise<number> {
  const [row] = await database.query<{ position: string }>('select position from log_head');
  return Number(row?.position);
}

/** Runs the calls, and demands that the log stands where it stood and has no event more. */
export async function appendsNothing(database: TestDatabase, calls: () => Promise<void>): Promise<void> {
  const before = await headOf(database);
  await calls();
  expect(await headOf(database)).toBe(before);
  const [row] = await database.query<{ count: string }>('select count(*) from events');
  expect(Number(row?.count)).toBe(before);
}
