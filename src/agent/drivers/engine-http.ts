import { answerText } from '../answer-text.js';
import { EngineError } from '../driver.js';
import { reasonOf } from '../log.js';

/** An engine's answer, whatever its status. */
export interface EngineReply {
  readonly status: number;
  readonly ok: boolean;
  /** Its JSON; undefined when it is none. */
  readonly body: unknown;
  readonly text: string;
}

export interface EngineRequest {
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly key?: (() => string | undefined) | undefined;
  readonly signal: AbortSignal;
}

/** No list of models is longer. */
const ANSWER_MAX = 4 * 1024 * 1024;

/** Between it and the engine something gave up: what was asked may have happened. */
const NOBODY_THERE = new Set([502, 503, 504]);

/**
 * One request to an engine.
 * @throws EngineError `unreachable` when no whole answer came before the signal, `refused` on a redirect or a bad key
 */
export async function ask(
  method: 'GET' | 'POST',
  url: URL,
  { body, key, signal }: EngineRequest,
): Promise<EngineReply> {
  const headers = {
    ...authorization(key),
    Accept: 'application/json, text/plain',
    // On one that has died in the pool, since the engine was started anew, a kill would fail at its first try.
    Connection: 'close',
  };
  const what = `${method} ${url.pathname}`;
  const reply = await exchange(what, async () => {
    const response = await fetch(url, {
      method,
      headers: body === undefined ? headers : { ...headers, 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      // Elsewhere might be another engine, which must get neither the command nor the key.
      redirect: 'manual',
    });
    const text = await textOf(response);
    return { status: response.status, ok: response.ok, body: jsonIn(text), text };
  });
  const { status } = reply;
  if (status >= 300 && status < 400)
    throw new EngineError('refused', `${what}: HTTP ${status}, a redirect, is not followed`);
  if (NOBODY_THERE.has(status)) throw new EngineError('unreachable', `${what}: ${messageOf(reply)}`);
  return reply;
}

/** The URL of a route below where the engine is. */
export function below(engine: URL, path: string): URL {
  const url = new URL(engine);
  url.pathname = url.pathname.replace(/\/+$/, '') + path;
  url.search = '';
  url.hash = '';
  return url;
}

async function exchange(what: string, work: () => Promise<EngineReply>): Promise<EngineReply> {
  try {
    return await work();
  } catch (error) {
    throw new EngineError('unreachable', `${what}: ${reasonOf(error)}`, { cause: error });
  }
}

function authorization(key: EngineRequest['key']): Record<string, string> {
  let value: string | undefined;
  try {
    value = key?.();
  } catch (error) {
    throw new EngineError('refused', `the engine's key cannot be read: ${reasonOf(error)}`, { cause: error });
  }
  if (value === undefined || value === '') return {};
  // Said here: fetch would repeat the key in its message.
  if (!/^[\x21-\x7e]+$/.test(value)) throw new EngineError('refused', "the engine's key is not one word");
  return { Authorization: `Bearer ${value}` };
}

const textOf = (response: Response): Promise<string> =>
  answerText(response, ANSWER_MAX, (sentence) => new Error(sentence));

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The refusal in words: every engine says it under another name. */
export function messageOf({ status, body, text }: EngineReply): string {
  const { error, ...flat } = membersOf(body);
  const inner = { ...flat, ...membersOf(error) };
  const said = [inner.message, error, inner.error_message, inner.detail, text].find(
    (each): each is string => typeof each === 'string' && each.trim() !== '',
  );
  return said === undefined ? `HTTP ${status}` : `HTTP ${status}: ${said.trim().slice(0, 300)}`;
}

/** The members of a JSON object; of anything else none. */
export function membersOf(value: unknown): Readonly<Partial<Record<string, unknown>>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
