/** Exit codes: what scripts go by. */
export const EXIT = { done: 0, refused: 1, usage: 2, notConverged: 3, unknown: 4 } as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A command that ends without what was asked for: one line for people, the same as members for scripts. */
export class Ended extends Error {
  override readonly name = 'Ended';

  constructor(
    readonly code: ExitCode,
    line: string,
    readonly more: Readonly<Record<string, unknown>> = {},
  ) {
    super(line);
  }
}

/** @returns undefined where the answer could not be had */
export async function unlessEnded<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Ended) return undefined;
    throw error;
  }
}
