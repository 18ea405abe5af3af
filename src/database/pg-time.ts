import pg from 'pg';

/**
 * PostgreSQL's text of a timestamptz as RFC 3339 in UTC with all six digits. A JavaScript Date would drop the
 * microseconds, in which two events of the log may differ.
 */
export function rfc3339(text: string): string {
  const parts = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?([+-]\d\d)(?::?(\d\d))?$/.exec(text);
  if (!parts) return text; // infinity, or a year beyond 9999
  const [, day = '', time = '', fraction = '', hours = '+00', minutes = '00'] = parts;
  const seconds = new Date(`${day}T${time}${hours}:${minutes}`).toISOString().slice(0, 19);
  return `${seconds}.${fraction.padEnd(6, '0')}Z`;
}

/** Type parsers for connections of the service: times keep their microseconds, positions are numbers. */
const parsers = new pg.TypeOverrides();
parsers.setTypeParser(pg.types.builtins.TIMESTAMPTZ, rfc3339);
parsers.setTypeParser(pg.types.builtins.INT8, Number);

export const typeParsers: pg.CustomTypesConfig = parsers;
