import { gzipSync } from 'node:zlib';

/** A body that is refused as a 400, and the field that the refusal names. */
export interface BadBody {
  readonly name: string;
  readonly field: string;
  readonly bytes: Uint8Array;
  /** A kill still takes its reason from it. */
  readonly reason?: string;
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const json = (name: string, field: string, text: string, reason?: string): BadBody => ({
  name,
  field,
  bytes: bytesOf(text),
  reason,
});
const value = (name: string, body: Record<string, unknown>, reason?: string): BadBody =>
  json(name, Object.keys(body)[0] ?? '', JSON.stringify(body), reason);
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

/** What no command takes, word by word as the contract's row of the 400 says. */
export const BAD_BODIES: readonly BadBody[] = [
  // unknown field
  value('a slip in a field', { adapter_verison: 'v1.2', reason: 'kept' }, 'kept'),
  value('a field in camel case', { adapterVersion: 'v1.2' }),
  value('a field in upper case', { Reason: 'x' }),
  value('an empty field name', { '': 'x' }),
  value('the actor', { actor: 'somebody-else', reason: 'kept' }, 'kept'),
  value('the generation', { generation: 1 }),
  // wrong type, null where a value is meant
  value('a reason that is a number', { reason: 5 }),
  value('a reason that is true', { reason: true }),
  value('a reason that is a list', { reason: ['x'] }),
  value('a reason that is an object', { reason: { text: 'x' } }),
  value('a reason that is null', { reason: null }),
  value('a reference that is null', { reference: null, reason: 'kept' }, 'kept'),
  value('a reference that is a number', { reference: 42, reason: 'kept' }, 'kept'),
  // text
  value('an empty reason', { reason: '' }),
  value('a reason of spaces', { reason: '   ' }),
  value('a reason of line breaks and tabs', { reason: '\n\t\r\n' }),
  value('a reason of Unicode spaces', { reason: '\u00a0\u3000\u2003' }),
  value('a reason of 501 characters', { reason: 'r'.repeat(501) }),
  value('a reason of 501 emoji', { reason: '\u{1f525}'.repeat(501) }),
  value('a reason of 10 kB', { reason: 'r'.repeat(10_000) }),
  value('a reference of 201 characters', { reference: 'r'.repeat(201), reason: 'kept' }, 'kept'),
  value('a reference of spaces', { reference: ' ' }),
  // duplicate keys, __proto__, constructor
  json('a key twice', 'reason', '{"reason":"a","reason":"b"}'),
  json('a key twice, with the same value', 'reason', '{"reason":"a","reason":"a"}'),
  json('a key twice, once escaped', 'reason', '{"reason":"a","re\\u0061son":"b"}'),
  json('a key twice, deep inside', 'a', '{"reason":{"x":[{"a":1,"a":2}]}}'),
  json('__proto__', 'body', '{"__proto__":{"adapter_version":"v1.2"}}'),
  json('__proto__, escaped', 'body', '{"\\u005f_proto__":{"reason":"x"}}'),
  json('__proto__ that is null', 'body', '{"__proto__":null}'),
  json('__proto__, deep inside', 'body', '{"reason":[{"__proto__":{}}]}'),
  json('constructor', 'constructor', '{"constructor":{"prototype":{"reason":"x"}},"reason":"kept"}', 'kept'),
  json('prototype', 'prototype', '{"prototype":{}}'),
  json('toString', 'toString', '{"toString":"x"}'),
  json('hasOwnProperty', 'hasOwnProperty', '{"hasOwnProperty":1,"reason":"kept"}', 'kept'),
  // NUL, lone surrogates
  json('NUL in a reason', 'body', '{"reason":"a\\u0000b"}'),
  json('NUL in a key', 'body', '{"a\\u0000":"b"}'),
  json('a raw NUL', 'body', '{"reason":"a\u0000b"}'),
  json('a lone high surrogate', 'body', '{"reason":"a\\ud800b"}'),
  json('a lone low surrogate', 'body', '{"reason":"\\udc00"}'),
  json('surrogates in the wrong order', 'body', '{"reason":"\\udc00\\ud800"}'),
  json('a lone surrogate in a key', 'body', '{"\\ud800":"b"}'),
  // malformed JSON
  json('an open brace', 'body', '{'),
  json('half an object', 'body', '{"reason":"regression_detected"'),
  json('a missing value', 'body', '{"reason":}'),
  json('single quotes', 'body', "{'reason':'x'}"),
  json('a trailing comma', 'body', '{"reason":"x",}'),
  json('a comment', 'body', '{"reason":"x"/* why */}'),
  json('something after the object', 'body', '{"reason":"x"} {}'),
  json('NaN', 'body', '{"reason":NaN}'),
  json('a raw line break in a text', 'body', '{"reason":"a\nb"}'),
  json('a form', 'body', 'reason=regression_detected'),
  json('white space', 'body', ' \n '),
  // JSON that is no object
  json('a list', 'body', '[]'),
  json('a list of objects', 'body', '[{"reason":"x"}]'),
  json('a text', 'body', '"regression_detected"'),
  json('a number', 'body', '1'),
  json('null', 'body', 'null'),
  json('true', 'body', 'true'),
  // deep nesting, bytes that are no text
  json('a deep list', 'body', nested(8_000)),
  json(
    'a deep object',
    'body',
    `${'{"a":'.repeat(2_500)}1${'}'.repeat(2_500)}`.replace('{"a":', '{"reason":'),
  ),
  json('an object nested 33 deep', 'body', `{"reason":${nested(32)}}`),
  json('a deep list that is never closed', 'body', '['.repeat(16_000)),
  { name: 'invalid UTF-8', field: 'body', bytes: Buffer.from('{"reason":"caf\xe9"}', 'latin1') },
  { name: 'UTF-16', field: 'body', bytes: Buffer.from('\ufeff{"reason":"x"}', 'utf16le') },
  { name: 'random bytes', field: 'body', bytes: Buffer.from('00ff10fe8080c0af', 'hex') },
];

export const BAD_VERSIONS: readonly unknown[] = [
  null,
  '',
  ' ',
  1.2,
  true,
  ['v1.2'],
  { version: 'v1.2' },
  '-v1',
  '.v1',
  '../v1',
  'v1/2',
  'v1 2',
  ' v1',
  'v1\n',
  'v1\\2',
  'vé',
  'v1%20',
  'v'.repeat(129),
];

/** Bodies of a good content under a type that is not JSON in UTF-8, or encoded: 415. */
export const BAD_MEDIA: readonly (readonly [string, Record<string, string>, Uint8Array])[] = [
  ['no content type', {}, bytesOf('{"reason":"x"}')],
  ['text/plain', { 'content-type': 'text/plain' }, bytesOf('{"reason":"x"}')],
  ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, bytesOf('{"reason":"x"}')],
  ['a multipart form', { 'content-type': 'multipart/form-data; boundary=x' }, bytesOf('--x--')],
  ['text/json', { 'content-type': 'text/json' }, bytesOf('{"reason":"x"}')],
  ['application/jsonx', { 'content-type': 'application/jsonx' }, bytesOf('{"reason":"x"}')],
  ['any type', { 'content-type': '*/*' }, bytesOf('{"reason":"x"}')],
  ['Latin-1', { 'content-type': 'application/json; charset=iso-8859-1' }, bytesOf('{"reason":"x"}')],
  ['gzip', { 'content-type': 'application/json', 'content-encoding': 'gzip' }, gzipSync('{"reason":"x"}')],
  [
    'gzip that is none',
    { 'content-type': 'application/json', 'content-encoding': 'gzip' },
    bytesOf('{"reason":"x"}'),
  ],
];

/** 1 MiB of good JSON. */
export const HUGE = bytesOf(`{"reason":"${'r'.repeat(1024 * 1024 - 13)}"}`);

/** Good JSON of so many bytes. */
export const padded = (body: object, bytes: number): Uint8Array =>
  bytesOf(JSON.stringify(body).padEnd(bytes, ' '));
