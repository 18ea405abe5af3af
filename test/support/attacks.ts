import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const post = (path: string, body: string, headers = ''): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${headers}` +
  `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const get = (target: string, headers = ''): string => `GET ${target} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;

/** An unsigned token that calls itself an admin. */
const UNSIGNED =
  'eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIiwic3ViIjoiZXZlIiwicm9sZXMiOlsiYWRtaW4iXX0.';

/** What somebody sends who has no token. Each is answered, and none with a success. */
const OF_STRANGERS: readonly string[] = [
  // No HTTP, or two readings of one.
  'hello\r\n\r\n',
  'GET\r\n\r\n',
  `${'A'.repeat(20_000)} / HTTP/1.1\r\n\r\n`,
  'POST /lora/enable HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}',
  'POST /lora/enable HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'POST /lora/enable HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n',
  'POST /lora/enable HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
  // Too much of a head.
  get('/lora/status', `X-Large: ${'x'.repeat(20_000)}\r\n`),
  get('/lora/status', Array.from({ length: 3000 }, (_, n) => `${n.toString(36)}:\r\n`).join('')),
  get(`/lora/status?${'a=b&'.repeat(3500)}`),
  get(`/${'../'.repeat(4000)}`),
  // Ways around a route.
  ...['/lora/../lora/history', '//lora/status', '/lora/status/..', '/lora/%2e%2e/fleets', '/.env'].map(
    (path) => get(path),
  ),
  ...[
    '/lora/history%00',
    '/lora/history;x',
    '/LORA/HISTORY',
    '/lora/history/%ff',
    '/docs/../../etc/passwd',
  ].map((path) => get(path)),
  ...['http://evil.example/lora/status', '*', '/adapters/..%2f..%2fetc%2fpasswd/deploy'].map((path) =>
    get(path),
  ),
  post('/adapters/..%2f..%2fetc%2fpasswd/deploy', ''),
  post('/lora/disable', '{"fleet":"default"}'),
  post('/lora/disable?fleet=*', '', 'X-HTTP-Method-Override: GET\r\n'),
  // Tokens that are none.
  post('/lora/disable', '', `Authorization: Bearer ${UNSIGNED}\r\n`),
  post('/lora/disable', '', `Authorization: Bearer ${'x'.repeat(8000)}\r\n`),
  post('/lora/disable', '', 'Authorization: Bearer __proto__\r\n'),
  post('/lora/disable', '', 'Authorization: Basic cm9vdDpyb290\r\n'),
  post('/lora/disable', '', 'Authorization: Bearer ,Bearer a\r\n'),
];

/** Bodies of somebody who has a token. None of them is a command. */
const BODIES: readonly string[] = [
  '['.repeat(16_000),
  `${'{"a":'.repeat(2700)}1${'}'.repeat(2700)}`,
  `{"reason":"${'x'.repeat(1_000_000)}"}`,
  `{"reason":${'9'.repeat(16_000)}}`,
  `{${Array.from({ length: 2000 }, (_, n) => `"${n}":1`).join(',')}}`,
  '{"__proto__":{"adapter_version":"v9"}}',
  '{"constructor":{"prototype":{"adapter_version":"v9"}}}',
  '{"adapter_version":"v9","adapter_version":"v8"}',
  '{"adapter_version":{"toString":"x"}}',
  '{"adapter_version":"../../v9"}',
  '{"adapter_version":"v9\\u0000"}',
  '{"reason":"\\ud800"}',
];

/** All attacks; `token` is that of somebody who may enable. */
export function attacks(token: string): readonly string[] {
  const authorized = `Authorization: Bearer ${token}\r\n`;
  return [...OF_STRANGERS, ...BODIES.map((body) => post('/lora/enable', body, authorized))];
}

export async function openSocket(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname).on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** Sends it on a connection of its own. @returns the status of the answer; 0: the connection was closed without one */
export async function attack(url: string, bytes: string): Promise<number> {
  const socket = await openSocket(url);
  let received = '';
  const answered = new Promise<void>((resolve) => {
    socket.on('data', (data: Buffer) => {
      received += data.toString('latin1');
      if (received.includes('\r\n\r\n')) resolve();
    });
    socket.once('close', () => {
      resolve();
    });
  });
  socket.write(bytes);
  await answered;
  socket.destroy();
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(received)?.[1] ?? 0);
}
