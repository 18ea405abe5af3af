import { readFileSync } from 'node:fs';

/** What a header can carry, and so says no more than that it is a token. */
const TOKEN = /^[\w.~+/=-]+$/;

/** There is no token where one was said to be. Never holds any of what was found. */
export class TokenError extends Error {
  override readonly name = 'TokenError';
}

/** @returns the token to send; undefined: none */
export type TokenSource = () => string | undefined;

/**
 * Where the token of a client comes from: a file, read at each use so that the token can be exchanged under it, or the
 * text that the environment has. An empty one counts as absent: compose files pass those. A file that can no longer be read leaves the token that it had last.
 * @throws TokenError (from the source) when no token was ever found there
 */
export function tokenSource(file: string | undefined, token: string | undefined): TokenSource {
  const given = (token ?? '').trim();
  if (file === undefined || file === '')
    return given === '' ? () => undefined : () => checked(given, 'LORA_TOKEN');
  let last: string | undefined;
  return () => {
    try {
      last = checked(readFileSync(file, 'utf8').trim(), `The token file ${file}`);
    } catch (error) {
      if (last !== undefined) return last;
      if (error instanceof TokenError) throw error;
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
      throw new TokenError(`The token file ${file} cannot be read (${code}).`);
    }
    return last;
  };
}

function checked(text: string, where: string): string {
  if (!TOKEN.test(text)) throw new TokenError(`${where} does not hold a token.`);
  return text;
}
