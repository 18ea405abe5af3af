import { parse, type ObjectNode, type ValueNode } from '@humanwhocodes/momoa';
import type { Request } from 'express';

import { Problem } from './problem.js';

export const BODY_MAX_BYTES = 16 * 1024;
/** Nothing that is sent to this service, and no file of its settings, is nested nearly as deep. */
const DEPTH_MAX = 32;

/**
 * A body as a JSON object, strictly: no duplicate or `__proto__` keys, no NUL, no lone surrogates.
 * @returns undefined when there is no body
 * @throws Problem 400 or 415
 */
export function parseJsonObject(
  request: Request,
  bytes: Buffer,
): Readonly<Record<string, unknown>> | undefined {
  if (bytes.length === 0) return undefined;
  checkMediaType(request);
  return parsePlainJson(bytes, 'body');
}

/**
 * A text in UTF-8 as a JSON object, as strictly as a body.
 * @param field what the problem calls it
 * @throws Problem 400
 */
export function parsePlainJson(bytes: Buffer, field: string): Readonly<Record<string, unknown>> {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    value = JSON.parse(text);
  } catch {
    throw Problem.invalid(field, 'is not well-formed JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw Problem.invalid(field, 'must be a JSON object');
  }
  if (!isPlain(text, value)) {
    // Before it is parsed by recursion, which ends where the stack does: at a depth that depends on how hot the code is.
    refuseDepth(value, field);
    refuseTraps(text, field);
  }
  return value as Record<string, unknown>;
}

function checkMediaType(request: Request): void {
  const [type = '', ...parameters] = (request.headers['content-type'] ?? '').toLowerCase().split(';');
  const json = /^application\/([\w.-]+\+)?json$/.test(type.trim());
  const utf8 = parameters.every(
    (each) => !/^\s*charset=/.test(each) || /^\s*charset="?utf-8"?\s*$/.test(each),
  );
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (!json || !utf8 || encoding !== 'identity') {
    throw new Problem('unsupported-media-type', 'Send the body as application/json in UTF-8, not encoded.');
  }
}

/**
 * Reads a request's body.
 * @param patienceMs how long it may take to arrive
 * @param chunks gets what arrives, for who needs it also when this throws
 * @throws Problem 400 or 413; the rest of the body is then read and dropped
 */
export function readBytes(request: Request, patienceMs: number, chunks: Buffer[] = []): Promise<Buffer> {
  let length = 0;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      stop(Problem.invalid('body', 'did not arrive in time'));
    }, patienceMs);
    const stop = (problem?: Problem): void => {
      clearTimeout(timer);
      request.off('data', take).off('end', end).off('error', broken).off('close', broken);
      if (problem) {
        request.on('error', () => undefined).resume();
        reject(problem);
      } else {
        resolve(Buffer.concat(chunks));
      }
    };
    const take = (chunk: Buffer): void => {
      length += chunk.length;
      chunks.push(chunk);
      if (length > BODY_MAX_BYTES) {
        stop(new Problem('payload-too-large', `The body is larger than ${BODY_MAX_BYTES} bytes.`));
      }
    };
    const end = (): void => {
      stop();
    };
    const broken = (): void => {
      stop(Problem.invalid('body', 'broke off'));
    };
    request.on('data', take).on('end', end).on('error', broken).on('close', broken);
  });
}

/**
 * Whether a text is so plain that it cannot hold a trap, which spares parsing it a second time: without escapes a
 * quotation mark always ends or begins a string, so there are at least as many marks before a colon as keys; more of
 * them than the value has keys mean that one may be there twice. Raw NUL and lone surrogates are no JSON in UTF-8.
 */
function isPlain(text: string, value: object): boolean {
  if (text.includes('\\') || text.includes('__proto__')) return false;
  const values = Object.values(value) as unknown[];
  if (values.some(isObject)) return false;
  return (text.match(/"\s*:/g)?.length ?? 0) === values.length;
}

function refuseDepth(value: object, field: string): void {
  let level = [value];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > DEPTH_MAX) throw Problem.invalid(field, `must not be nested more than ${DEPTH_MAX} deep`);
    level = level.flatMap((each) => Object.values(each) as unknown[]).filter(isObject);
  }
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** What JSON.parse lets through although its readers differ on what it means. */
function refuseTraps(text: string, field: string): void {
  let root: ValueNode;
  try {
    root = parse(text).body;
  } catch {
    throw Problem.invalid(field, 'is not well-formed JSON');
  }
  const open: ValueNode[] = [root];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (node.type === 'String') refuseUnstorable(field, node.value);
    if (node.type === 'Array') open.push(...node.elements.map(({ value }) => value));
    if (node.type === 'Object') {
      refuseKeys(node, field);
      open.push(...node.members.map(({ value }) => value));
    }
  }
}

function refuseKeys(node: ObjectNode, field: string): void {
  const seen = new Set<string>();
  for (const { name } of node.members) {
    const key = name.type === 'String' ? name.value : name.name;
    refuseUnstorable(field, key);
    if (key === '__proto__') throw Problem.invalid(field, 'must not have a key __proto__');
    if (seen.has(key)) throw Problem.invalid(key, 'is given twice');
    seen.add(key);
  }
}

/** NUL and lone surrogates are no text that PostgreSQL, or the hash of an event, could hold. */
export function refuseUnstorable(field: string, text: string): void {
  if (text.includes('\0')) throw Problem.invalid(field, 'must not have a NUL character');
  if (!text.isWellFormed()) throw Problem.invalid(field, 'must not have a lone surrogate');
}
