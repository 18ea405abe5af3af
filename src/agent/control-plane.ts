import { answerText } from './answer-text.js';
import { within } from './deadline.js';
import { type FleetState, readState } from './fleet-state.js';

/** Nothing that it sends is longer. */
export const ANSWER_MAX = 1024 * 1024;

const DETAIL_MAX = 300;

export class ControlPlaneError extends Error {}

/** The control plane is there, and does not let this agent in. */
export class NotAdmitted extends ControlPlaneError {}

export interface StatusAnswer {
  /** Undefined: 304, the state is still that of the tag. */
  readonly state: FleetState | undefined;
  /** The log could not be asked. */
  readonly stale: boolean;
}

export interface StatusQuestion {
  /** The state that is known. */
  readonly tag: string | undefined;
  /** How long the answer may wait for news; 0 for not at all. */
  readonly waitSeconds: number;
  /** How long an answer may take beyond that. */
  readonly patienceMs: number;
  readonly signal: AbortSignal;
}

type Request = RequestInit & { readonly headers: Readonly<Record<string, string>> };

const JSON_BODY = { 'Content-Type': 'application/json' };

/** One replica of the control plane, for one fleet. Every call throws when it does not get what it asked for. */
export class ControlPlane {
  constructor(
    readonly url: string,
    private readonly fleet: string,
    private readonly token: () => string | undefined = () => undefined,
  ) {}

  async status({ tag, waitSeconds, patienceMs, signal }: StatusQuestion): Promise<StatusAnswer> {
    return within(waitSeconds * 1000 + patienceMs, signal, async (ending) => {
      const headers: Record<string, string> = { Accept: 'application/json' };
      if (tag !== undefined) headers['If-None-Match'] = `"${tag}"`;
      if (waitSeconds > 0) headers.Prefer = `wait=${waitSeconds}`;
      const response = await this.send(`/lora/status?fleet=${this.fleet}`, { headers, signal: ending });
      const text = await textOf(response);
      if (response.status === 304 && tag !== undefined) return { state: undefined, stale: false };
      if (response.status !== 200) throw refusal(response, text);
      const body = parse(text);
      return { state: this.stateIn(body), stale: isStale(body) };
    });
  }

  /** @returns the body of a stream, for the caller to read and to end by the signal */
  async stream(lastEventId: string | undefined, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const headers: Record<string, string> = { Accept: 'text/event-stream' };
    if (lastEventId !== undefined) headers['Last-Event-ID'] = lastEventId;
    const response = await this.send(`/lora/stream?fleet=${this.fleet}`, { headers, signal });
    const type = response.headers.get('content-type') ?? '';
    if (response.status === 200 && type.startsWith('text/event-stream') && response.body)
      return response.body;
    // What is no stream by its type may be one that never ends.
    if (response.ok) await response.body?.cancel();
    throw refusal(response, response.ok ? '' : await textOf(response));
  }

  /** @throws ControlPlaneError unless the text is a state of this fleet */
  parseState(text: string): FleetState {
    return this.stateIn(parse(text));
  }

  /** @returns why the engine is in conflict, whatever its report says; null when it is not */
  async putEngine(
    id: string,
    report: object,
    patienceMs: number,
    signal: AbortSignal,
  ): Promise<string | null> {
    const init = { method: 'PUT', headers: JSON_BODY, body: JSON.stringify(report) };
    const text = await this.engine(`${id}?fleet=${this.fleet}`, patienceMs, signal, init);
    const conflict = (parse(text) as { readonly conflict?: unknown } | null)?.conflict;
    return typeof conflict === 'string' ? conflict : null;
  }

  /** Ends what this agent has begun; the engine stays when another one reports under its id. */
  async deleteEngine(id: string, instance: string, patienceMs: number, signal: AbortSignal): Promise<void> {
    await this.engine(`${id}?instance=${instance}`, patienceMs, signal, { method: 'DELETE', headers: {} });
  }

  private engine(path: string, ms: number, signal: AbortSignal, init: Request): Promise<string> {
    return within(ms, signal, async (ending) => {
      const response = await this.send(`/engines/${path}`, { ...init, signal: ending });
      const text = await textOf(response);
      if (!response.ok) throw refusal(response, text);
      return text;
    });
  }

  /** A redirect could lead anywhere, with a state that nobody here has decided. */
  private async send(path: string, init: Request): Promise<Response> {
    const token = this.token();
    const headers =
      token === undefined ? init.headers : { ...init.headers, Authorization: `Bearer ${token}` };
    return fetch(this.url + path, { ...init, headers, redirect: 'error' });
  }

  private stateIn(body: unknown): FleetState {
    const state = readState(body, this.fleet);
    if (!state) throw new ControlPlaneError(`not a state of fleet ${this.fleet}`);
    return state;
  }
}

function refusal({ status, headers }: Response, text: string): ControlPlaneError {
  if (status === 401) return new NotAdmitted('HTTP 401: it does not know the token, or there is none');
  if (status === 403) return new NotAdmitted('HTTP 403: the token is not for this engine or fleet');
  const { code, detail } = problemIn(text);
  if (typeof detail !== 'string')
    return new ControlPlaneError(`HTTP ${status} (${headers.get('content-type') ?? 'no content'})`);
  const sentence = `HTTP ${status}: ${detail.slice(0, DETAIL_MAX)}`;
  return code === 'unknown-fleet' ? new NotAdmitted(sentence) : new ControlPlaneError(sentence);
}

/** The members of a problem document; none of what is none. */
function problemIn(text: string): { readonly code?: unknown; readonly detail?: unknown } {
  try {
    return (JSON.parse(text) as object | null) ?? {};
  } catch {
    return {};
  }
}

function isStale(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'stale' in body && body.stale !== false;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ControlPlaneError('not JSON');
  }
}

const textOf = (response: Response): Promise<string> =>
  answerText(response, ANSWER_MAX, (sentence) => new ControlPlaneError(sentence));
