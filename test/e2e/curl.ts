import type { Api, Reply } from '../support/http.js';

/** One curl command of a runbook, read as a shell and curl would read it. */
export interface CurlCommand {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly data: string | undefined;
}

/** The words of a shell command: single quotes and continued lines, which is all that a runbook needs. */
function words(command: string): string[] {
  const oneLine = command.replace(/\\\n/g, ' ');
  const pattern = /'([^']*)'|([^\s'"\\$`*?;&|<>#()]+)/g;
  if (oneLine.replace(pattern, '').trim() !== '')
    throw new Error(`A shell would do more with this than this test can: ${command}`);
  return [...oneLine.matchAll(pattern)].map(([, quoted, bare = '']) => quoted ?? bare);
}

/** @throws Error for an option that is not known here */
export function parseCurl(command: string): CurlCommand {
  const [program, ...rest] = words(command);
  if (program !== 'curl') throw new Error(`Not a curl: ${command}`);
  let method: string | undefined;
  let url: string | undefined;
  let data: string | undefined;
  const headers: Record<string, string> = {};
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const option = word;
    const value = (): string => {
      const next = rest.shift();
      if (next === undefined) throw new Error(`${option} has no value in ${command}`);
      return next;
    };
    if (word === '-X') method = value();
    else if (word === '-d') data = value();
    else if (word === '-H') {
      const [name = '', ...parts] = value().split(':');
      headers[name.trim().toLowerCase()] = parts.join(':').trim();
    } else if (word.startsWith('-') || url !== undefined) throw new Error(`Unknown in a curl: ${word}`);
    else url = word;
  }
  if (url === undefined) throw new Error(`No address in ${command}`);
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  return {
    method: method ?? (data === undefined ? 'GET' : 'POST'),
    url,
    headers: { accept: '*/*', ...(data === undefined ? {} : form), ...headers },
    data,
  };
}

/** Runs a command of the runbook, with the port that it prints replaced by the one of the service under test. */
export async function runCurl(api: Api, command: string): Promise<Reply> {
  const { host } = new URL(api.url);
  const { method, url, headers, data } = parseCurl(command.replace('localhost:8003', host));
  const { origin, pathname, search } = new URL(url);
  if (origin !== api.url) throw new Error(`${command} does not go to localhost:8003`);
  return api.send(method, pathname + search, { headers: { ...headers }, text: data });
}
