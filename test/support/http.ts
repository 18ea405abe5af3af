/** An answer, read to its end; `body` is its JSON, undefined when it has none. */
export interface Reply<T = Json> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

/** JSON of a shape that the test knows. */
export interface Json {
  readonly [member: string]: Json & string & number & boolean & null & readonly Json[];
}

export interface RequestOptions {
  readonly headers?: Record<string, string>;
  /** Sent as JSON; for anything else use `text`. */
  readonly body?: unknown;
  readonly text?: string | Uint8Array;
}

/** Calls one service; every call is a real request. */
export class Api {
  constructor(readonly url: string) {}

  get(path: string, headers: Record<string, string> = {}): Promise<Reply> {
    return this.send('GET', path, { headers });
  }

  post(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply> {
    return this.send('POST', path, { body, headers });
  }

  async send(
    method: string,
    path: string,
    { headers = {}, body, text }: RequestOptions = {},
  ): Promise<Reply> {
    const json: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
    const response = await fetch(this.url + path, {
      method,
      headers: { ...json, ...headers },
      body: body === undefined ? text : JSON.stringify(body),
    });
    const received = await response.text();
    const parsed: unknown = received === '' ? undefined : JSON.parse(received);
    return { status: response.status, headers: response.headers, body: parsed as Json };
  }
}

const PATIENCE_MS = 60_000;

/** Waits until the condition holds. Gives up after a minute, so that a failed test does not go on asking for ever. */
export async function eventually<T>(
  probe: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    await new Promise((resume) => setTimeout(resume, 10));
  }
  throw new Error(`Did not come true within ${PATIENCE_MS / 1000} s: ${probe.toString()}`);
}
