import type { IncomingMessage } from 'node:http';

import type { Bodies, BodyOf, Expected } from './answers.js';
import { Ended, EXIT } from './ends.js';
import { begin, type Call, hear, Lost } from './http-call.js';
import { inTurn, type Outcome } from './turns.js';
import { type Answer, foreign, judge, type Problem, type Verdict } from './verdict.js';

/**
 * The service answers a command within 2 s, whatever its database does. A try has that time also when it is the last
 * one: cut short, it would leave behind an outcome that nobody knows.
 */
const COMMAND_TRY_MS = 3000;
const wholeTry = (): number => COMMAND_TRY_MS;
/** A search of a long log takes its time. */
const READ_TRY_MS = 10_000;
const readTry = (leftMs: number): number => Math.min(READ_TRY_MS, leftMs);

export interface ClientOptions {
  readonly urls: readonly URL[];
  readonly timeoutMs: number;
  /** What the log shows as the source of a command. */
  readonly userAgent: string;
  /** Asked before each try, so that a token can be exchanged. */
  readonly token: () => string | undefined;
  readonly interrupted: AbortSignal;
  readonly progress: (text: string) => void;
}

/** Calls the control plane through whichever of its replicas answers. */
export class Client {
  /** Whether a command was sent, not only questions. */
  hasCommanded = false;

  constructor(private readonly options: ClientOptions) {}

  get urls(): readonly URL[] {
    return this.options.urls;
  }

  /** Sends a command, again and again until its fate is known; the call must carry an Idempotency-Key. */
  send<E extends Expected>(call: Call, expected: E): Promise<Outcome<Answer<BodyOf<E>>>> {
    this.hasCommanded = true;
    return this.call(call, expected, wholeTry, this.options.timeoutMs);
  }

  /**
   * Reads. An answer that is stale is taken only when no other replica has a better one.
   * @throws Ended
   */
  async get<E extends keyof Bodies>(
    path: string,
    expected: E,
    withinMs = this.options.timeoutMs,
  ): Promise<Answer<BodyOf<E>>> {
    const call: Call = { method: 'GET', path };
    const answer: Answer<BodyOf<E>> = read(await this.call(call, expected, readTry, withinMs));
    if (!isStale(answer.body) || this.urls.length < 2) return answer;
    for (const url of this.urls) {
      const other = await this.once(url, call, expected, AbortSignal.timeout(COMMAND_TRY_MS));
      if (other.type === 'done' && !isStale(other.value.body)) return other.value;
    }
    return answer;
  }

  /**
   * Opens an answer that is read bit by bit.
   * @param kind what its content type begins with
   * @throws Ended
   */
  async open(path: string, kind: string): Promise<IncomingMessage> {
    const { timeoutMs: withinMs, interrupted, progress } = this.options;
    return read(
      await inTurn(this.urls, { withinMs, tryMs: readTry, interrupted, progress }, (url, signal) =>
        this.openAt(url, path, kind, {}, signal),
      ),
    );
  }

  /** Opens such an answer at one address, in one try; the signal bounds the opening only. */
  openAt(
    url: URL,
    path: string,
    kind: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Verdict<IncomingMessage>> {
    return attempt<IncomingMessage>(async () => {
      const opening = new AbortController();
      const abort = (): void => {
        opening.abort();
      };
      signal.addEventListener('abort', abort);
      const response = await begin(url, this.signed({ method: 'GET', path, headers }), opening.signal);
      signal.removeEventListener('abort', abort);
      if (response.statusCode === 200 && response.headers['content-type']?.startsWith(kind) === true) {
        return { type: 'done', value: response };
      }
      const heard = await hear(response);
      const verdict = judge(heard, 204, new Date());
      return verdict.type === 'done' ? foreign(heard) : verdict;
    });
  }

  /** One try at one address. */
  once<E extends Expected>(
    url: URL,
    call: Call,
    expected: E,
    signal: AbortSignal,
  ): Promise<Verdict<Answer<BodyOf<E>>>> {
    return attempt(async () => {
      const heard = await hear(await begin(url, this.signed(call), signal));
      return judge(heard, expected, new Date());
    });
  }

  private call<E extends Expected>(
    call: Call,
    expected: E,
    tryMs: (leftMs: number) => number,
    withinMs: number,
  ): Promise<Outcome<Answer<BodyOf<E>>>> {
    const { urls, interrupted, progress } = this.options;
    return inTurn(urls, { withinMs, tryMs, interrupted, progress }, (url, signal) =>
      this.once(url, call, expected, signal),
    );
  }

  private signed(call: Call): Call {
    const token = this.options.token();
    const known: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    return { ...call, headers: { 'User-Agent': this.options.userAgent, ...known, ...call.headers } };
  }
}

function isStale(body: object | null): boolean {
  return body !== null && 'stale' in body && body.stale === true;
}

async function attempt<T>(act: () => Promise<Verdict<T>>): Promise<Verdict<T>> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof Lost)) throw error;
    const { message: why, sent, foreign } = error;
    return foreign ? { type: 'foreign', why } : { type: 'again', mayHaveLanded: sent, why, afterMs: 0 };
  }
}

/** What a read brought. @throws Ended */
export function read<T>(outcome: Outcome<T>): T {
  if (outcome.type === 'done') return outcome.value;
  if (outcome.type === 'refused') throw refused(outcome.problem);
  throw new Ended(EXIT.refused, `no answer: ${outcome.why}.`, { outcome: 'none' });
}

/** A call whose form is wrong is the caller's slip, as an option that does not exist is. */
export function refused({ status, code, detail, notice }: Problem): Ended {
  const hint = status === 401 ? 'Give it as --token-file, LORA_TOKEN_FILE or LORA_TOKEN.' : undefined;
  const line = ['refused:', detail, hint, notice].filter(Boolean).join(' ');
  return new Ended(status === 400 ? EXIT.usage : EXIT.refused, line, { outcome: 'refused', code, detail });
}
