import helmet from 'helmet';

/**
 * What every answer says to a browser that comes across it: this is data, of this type, for this site's own pages, and
 * nothing in it is to be run or framed. Fixed, and no more than that: see ADR 20.
 */
export const SAFE_HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
} as const;

/**
 * For the pages that people open in a browser: all of helmet. They load what this service serves and nothing else;
 * styles may stand in them. Who ends TLS says whether to insist on it.
 */
export const pageHeaders = helmet({
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      'default-src': ["'none'"],
      'script-src': ["'self'"],
      'style-src': ["'self'", "'unsafe-inline'"],
      'img-src': ["'self'", 'data:'],
      'font-src': ["'self'"],
      'connect-src': ["'self'"],
      'base-uri': ["'none'"],
      'form-action': ["'none'"],
      'frame-ancestors': ["'none'"],
    },
  },
  strictTransportSecurity: false,
});
