import { types } from 'node:util';

const { isNativeError } = types;

export type Level = 'info' | 'warn' | 'error';

/** Says that something happened. @param fields what a machine would look for */
export type Log = (level: Level, message: string, fields?: Readonly<Record<string, unknown>>) => void;

/** One JSON line for each event. */
export function jsonLog(write: (line: string) => void, now: () => number = Date.now): Log {
  return (level, message, fields = {}) => {
    write(`${JSON.stringify({ time: new Date(now()).toISOString(), level, message, ...fields })}\n`);
  };
}

/** The reason in words; a fetch hides it in the cause. */
export function reasonOf(error: unknown): string {
  if (!isNativeError(error)) return String(error);
  const { cause } = error;
  return isNativeError(cause) && cause.message !== '' ? `${error.message}: ${cause.message}` : error.message;
}
