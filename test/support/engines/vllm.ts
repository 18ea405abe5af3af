import { type Answer, type Call, notFound, TestEngine } from './test-engine.js';

/** vLLM's OpenAI server. A test changes how it is at any time. */
export class VllmEngine extends TestEngine {
  baseModel = 'base-model';
  /** Names to the paths that they were loaded from. */
  readonly loaded = new Map<string, string>();
  /** What a new process is started with (`--lora-modules`). */
  startsWith: ReadonlyMap<string, string> = new Map();
  /** VLLM_ALLOW_RUNTIME_LORA_UPDATING. */
  runtimeUpdating = true;
  key: string | undefined;
  /** How its build writes errors. */
  errors: 'wrapped' | 'flat' = 'wrapped';
  /** With which status its build refuses a name that it does not know. */
  unknownName: 404 | 400 = 404;
  /** With which status its build refuses an adapter that it cannot use. */
  badAdapter: 400 | 500 = 500;
  readonly missingPaths = new Set<string>();
  readonly badPaths = new Set<string>();
  /** What a resolver plugin finds by name. */
  resolver: ReadonlyMap<string, string> | undefined;

  get adapters(): readonly string[] {
    return [...this.loaded.keys()];
  }

  /** Plays a request that names a model. @returns its status */
  infer(model: string): number {
    if (this.loaded.has(model) || model === this.baseModel) return 200;
    const path = this.resolver?.get(model);
    if (path === undefined) return 404;
    this.loaded.set(model, path);
    return 200;
  }

  protected forget(): void {
    this.loaded.clear();
    for (const [name, path] of this.startsWith) this.loaded.set(name, path);
  }

  protected answer({ method, path, body, key }: Call): Answer | Promise<Answer | undefined> {
    if (this.key !== undefined && key !== this.key) return { status: 401, body: { error: 'Unauthorized' } };
    const route = `${method} ${path}`;
    if (route === 'GET /v1/models') return { status: 200, body: { object: 'list', data: this.models() } };
    if (!this.runtimeUpdating) return notFound;
    if (route === 'POST /v1/load_lora_adapter') return this.load(body);
    if (route === 'POST /v1/unload_lora_adapter') return this.unload(body);
    return notFound;
  }

  private models(): object[] {
    const base = { id: this.baseModel, object: 'model', root: `/models/${this.baseModel}`, parent: null };
    const adapters = [...this.loaded].map(([id, root]) => ({
      id,
      object: 'model',
      root,
      parent: this.baseModel,
    }));
    return [base, ...adapters];
  }

  private async load({ lora_name: name, lora_path: path }: Call['body']): Promise<Answer | undefined> {
    if (typeof name !== 'string' || typeof path !== 'string') {
      return this.error(400, 'InvalidUserInput', "Both 'lora_name' and 'lora_path' must be provided.");
    }
    if (this.loaded.has(name)) {
      return this.error(400, 'InvalidUserInput', `The lora adapter '${name}' has already been loaded.`);
    }
    if (!(await this.mayLoad())) return undefined;
    if (this.missingPaths.has(path)) {
      return this.error(404, 'NotFoundError', `No adapter found for ${path}`);
    }
    if (this.badPaths.has(path)) return this.error(this.badAdapter, 'InternalServerError', 'rank too high');
    this.loaded.set(name, path);
    return { status: 200, body: `Success: LoRA adapter '${name}' added successfully.` };
  }

  private unload({ lora_name: name }: Call['body']): Answer {
    if (typeof name !== 'string') {
      return this.error(400, 'InvalidUserInput', "'lora_name' needs to be provided.");
    }
    if (!this.loaded.delete(name)) {
      return this.error(this.unknownName, 'NotFoundError', `The lora adapter '${name}' cannot be found.`);
    }
    return { status: 200, body: `Success: LoRA adapter '${name}' removed successfully.` };
  }

  private error(code: number, type: string, message: string): Answer {
    const error = { message, type, param: null, code };
    return { status: code, body: this.errors === 'flat' ? { object: 'error', ...error } : { error } };
  }
}
