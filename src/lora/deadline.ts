import { LogUnavailable } from './domain/errors.js';

/** The promise's value, or the error when the time (`performance.now()`) has come or the log cannot be read. */
export async function within<T>(
  deadline: number,
  promise: Promise<T>,
  late: () => LogUnavailable,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => {
        reject(late());
      },
      Math.max(0, deadline - performance.now()),
    );
  });
  try {
    return await Promise.race([promise, timeout]);
  } catch (error) {
    if (!(error instanceof LogUnavailable)) throw error;
    const failure = late();
    failure.cause = error.cause;
    throw failure;
  } finally {
    clearTimeout(timer);
  }
}
