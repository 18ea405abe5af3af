import { type IncomingHttpHeaders, type IncomingMessage, request as overHttp } from 'node:http';
import { request as overHttps } from 'node:https';

export interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With the query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: object;
}

/** A whole answer. */
export interface Heard {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** There was no whole answer. */
export class Lost extends Error {
  override readonly name = 'Lost';

  constructor(
    /** Whether the other side may have got the request: false only when there never was a connection. */
    readonly sent: boolean,
    why: string,
    /** What is there does not speak HTTP at all. */
    readonly foreign = false,
  ) {
    super(why);
  }
}

/** More than any answer that is asked for has; a foreign server may send for ever. */
const TEXT_MAX = 64 * 1024 * 1024;

/**
 * Sends one call to one address, on a connection of its own, and waits for the head of the answer.
 * @throws Lost
 */
export function begin(base: URL, call: Call, signal: AbortSignal): Promise<IncomingMessage> {
  const secure = base.protocol === 'https:';
  const body = call.body === undefined ? undefined : JSON.stringify(call.body);
  const headers = { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...call.headers };
  const url = new URL(base.href.replace(/\/$/, '') + call.path);
  return new Promise((resolve, reject) => {
    let sent = false;
    const request = (secure ? overHttps : overHttp)(
      url,
      { method: call.method, headers, signal, agent: false },
      resolve,
    );
    request.once('socket', (socket) => {
      socket.once(secure ? 'secureConnect' : 'connect', () => {
        sent = true;
      });
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      reject(lost(error, sent));
    });
    request.end(body);
  });
}

/** Reads an answer to its end. @throws Lost */
export async function hear(response: IncomingMessage): Promise<Heard> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      size += part.length;
      if (size > TEXT_MAX) throw new Lost(true, 'answers without end', true);
      parts.push(part);
    }
  } catch (error) {
    throw error instanceof Lost ? error : lost(error as NodeJS.ErrnoException, true);
  }
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: Buffer.concat(parts).toString('utf8'),
  };
}

const WORDS: Readonly<Partial<Record<string, string>>> = {
  ECONNREFUSED: 'refuses the connection',
  ECONNRESET: 'broke the connection off',
  EPIPE: 'broke the connection off',
  ENOTFOUND: 'is a host that does not exist',
  EAI_AGAIN: 'is a host whose name cannot be looked up',
  EHOSTUNREACH: 'cannot be reached',
  ENETUNREACH: 'cannot be reached',
  ETIMEDOUT: 'cannot be reached',
  ABORT_ERR: 'gave no answer in time',
};

function lost(error: NodeJS.ErrnoException, sent: boolean): Lost {
  const { code = '' } = error;
  const foreign = code.startsWith('HPE_');
  if (foreign) return new Lost(sent, 'does not speak HTTP', true);
  if (code === 'EPROTO') return new Lost(sent, 'does not speak TLS', true);
  return new Lost(sent, WORDS[code] ?? `failed (${error.message || code})`);
}
