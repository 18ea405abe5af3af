import { type Answer, type Call, notFound, TestEngine } from './test-engine.js';

/** The server of llama.cpp: what it was started with can be turned up and down. */
export class LlamacppEngine extends TestEngine {
  /** What a new process is started with (`--lora`). */
  paths: readonly string[] = [];
  /** `--lora-init-without-apply`. */
  initWithoutApply = false;
  /** Newer builds skip an id that they do not know, older ones fail on it. */
  lenient = true;
  /** A build without the route, or without an adapter. */
  hasRoute = true;
  key: string | undefined;
  /** The model is not there yet. */
  starting = false;
  scales: number[] = [];

  /** The paths of what is turned up. */
  get adapters(): readonly string[] {
    return this.paths.filter((_, id) => this.scales[id] !== 0);
  }

  /** Plays a request. @param lora its own field, which overrides the scales @returns the paths it was answered with */
  infer(lora?: readonly { readonly id: number; readonly scale: number }[]): readonly string[] {
    if (!lora) return this.adapters;
    return this.paths.filter((_, at) => lora.some(({ id, scale }) => id === at && scale !== 0));
  }

  protected forget(): void {
    this.scales = this.paths.map(() => (this.initWithoutApply ? 0 : 1));
  }

  protected answer({ method, path, body, key }: Call): Answer {
    if (this.key !== undefined && key !== this.key) {
      return error(401, 'authentication_error', 'Invalid API Key');
    }
    if (this.starting) return error(503, 'unavailable_error', 'Loading model');
    if (path !== '/lora-adapters' || !this.hasRoute) return notFound;
    if (method === 'GET') {
      return {
        status: 200,
        body: this.paths.map((each, id) => ({ id, path: each, scale: this.scales[id] })),
      };
    }
    if (!Array.isArray(body)) return error(400, 'invalid_request_error', 'Request body must be an array');
    return this.replace(body as { id: number; scale: number }[]);
  }

  private replace(set: readonly { readonly id: number; readonly scale: number }[]): Answer {
    this.scales = this.paths.map(() => 0);
    for (const { id, scale } of set) {
      if (id in this.paths) this.scales[id] = scale;
      else if (!this.lenient) return error(500, 'server_error', 'invalid adapter id');
    }
    return { status: 200, body: { success: true } };
  }
}

function error(code: number, type: string, message: string): Answer {
  return { status: code, body: { error: { code, message, type } } };
}
