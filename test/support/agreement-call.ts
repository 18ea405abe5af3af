/** How an answer came back, with the times of one monotonic clock; status 0: none came. */
export interface Answered {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Headers;
  readonly sentAt: number;
  readonly receivedAt: number;
}

export interface Call {
  readonly method?: 'GET' | 'POST' | 'PUT';
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** Where a client can send its calls: one replica, or what stands before all of them. */
export interface Target {
  readonly url: string;
  /** Names one life of one process; of a front: what to say where it does not say which replica answered. */
  readonly incarnation: string;
}

/** A front tells in this header which replica answered. */
export const UPSTREAM = 'x-upstream';

/** Calls; never throws: a broken socket or none at all is status 0. */
export async function callAt(
  target: Target,
  { method, path, body, headers = {}, timeoutMs = 10_000 }: Call,
): Promise<Answered> {
  const sentAt = performance.now();
  try {
    const response = await fetch(target.url + path, {
      method: method ?? 'POST',
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await response.text();
    const parsed = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
    return {
      status: response.status,
      body: parsed,
      headers: response.headers,
      sentAt,
      receivedAt: performance.now(),
    };
  } catch {
    return { status: 0, body: {}, headers: new Headers(), sentAt, receivedAt: performance.now() };
  }
}

/** Milliseconds from the sending of a call to its answer. */
export const took = ({ sentAt, receivedAt }: Answered): number => receivedAt - sentAt;
