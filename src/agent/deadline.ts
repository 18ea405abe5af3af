/** It took too long; what was asked may have happened or not. */
export class TimedOut extends Error {
  constructor(milliseconds: number) {
    super(`no answer within ${milliseconds / 1000} s`);
  }
}

/**
 * Runs the work with a signal that ends with its parent or after so long. Rejects at once then, even when the work does
 * not listen to its signal: nothing may hold a kill up.
 */
export async function within<T>(
  milliseconds: number,
  parent: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const own = new AbortController();
  const abandoned = new Promise<never>((_, reject) => {
    own.signal.addEventListener('abort', () => {
      reject(own.signal.reason as Error);
    });
  });
  const end = (): void => {
    own.abort(parent.reason);
  };
  const timer = setTimeout(() => {
    own.abort(new TimedOut(milliseconds));
  }, milliseconds);
  parent.addEventListener('abort', end);
  // Whichever of the two comes second must not go unhandled.
  abandoned.catch(() => undefined);
  try {
    if (parent.aborted) throw parent.reason as Error;
    const working = work(own.signal);
    working.catch(() => undefined);
    return await Promise.race([working, abandoned]);
  } finally {
    clearTimeout(timer);
    parent.removeEventListener('abort', end);
  }
}

/** Waits; ends early, without an error, when the signal is aborted. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done);
  });
}
