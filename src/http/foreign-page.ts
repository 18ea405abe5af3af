import type { Request } from 'express';

import { Problem } from './problem.js';

const READS = new Set(['GET', 'HEAD', 'OPTIONS']);
const KILL = /^\/lora\/disable\/?$/i;

/**
 * Refuses commands that a page of another site lets the browser of somebody send who can reach this service: such a
 * page needs nobody's consent for a POST without a body. A kill is taken all the same. Programs send neither header.
 * @param friends the origins whose pages may
 * @throws Problem 403
 */
export function refuseForeignPage(request: Request, friends: readonly string[]): void {
  if (READS.has(request.method) || KILL.test(request.path)) return;
  if (friends.includes(request.headers.origin ?? '')) return;
  if (isForeign(request)) throw foreignPage();
}

function isForeign({ headers }: Request): boolean {
  // "same-site" is another port or host of the same site: not the page that this service serves.
  const site = headers['sec-fetch-site'];
  if (site === 'cross-site' || site === 'same-site') return true;
  if (headers.origin === undefined) return false;
  if (!URL.canParse(headers.origin)) return true;
  const { protocol, host } = new URL(headers.origin);
  // By the page's own scheme, whose port may be left out; a proxy may have ended TLS.
  const own = `${protocol}//${headers.host ?? ''}`;
  return !URL.canParse(own) || new URL(own).host !== host;
}

const foreignPage = (): Problem =>
  new Problem(
    'forbidden',
    'A page of another site may not send commands; the kill alone is taken from anywhere.',
  );
