import { type Answer, type Call, notFound, TestEngine } from './test-engine.js';

/** SGLang's HTTP server. */
export class SglangEngine extends TestEngine {
  baseModel = 'base-model';
  readonly loaded = new Map<string, string>();
  startsWith: ReadonlyMap<string, string> = new Map();
  loraEnabled = true;
  /** Guards what is not guarded by the admin's key. */
  key: string | undefined;
  /** Guards loading and unloading, where it is set. */
  adminKey: string | undefined;
  /** Data parallel without attention: loading and unloading fail on an assertion. */
  asserts = false;
  readonly missingPaths = new Set<string>();
  /** Requests under way that name an adapter, by its name: an unload waits for them. */
  private readonly underWay = new Map<string, { readonly end: Promise<void>; readonly finish: () => void }>();
  /** Every name that it has loaded in this life: a request loads it again. */
  private readonly known = new Map<string, string>();

  get adapters(): readonly string[] {
    return [...this.loaded.keys()];
  }

  /** Plays a request that names an adapter. @returns its status */
  infer(name: string): number {
    const path = this.known.get(name);
    if (path === undefined) return 400;
    this.loaded.set(name, path);
    return 200;
  }

  /** A request of that adapter which does not end. @returns ends it */
  keepBusy(name: string): () => void {
    let finish = (): void => undefined;
    const end = new Promise<void>((resolve) => (finish = resolve));
    this.underWay.set(name, { end, finish });
    return () => {
      this.underWay.delete(name);
      finish();
    };
  }

  /** What it does without being asked when it holds too many. */
  evict(name: string): void {
    this.loaded.delete(name);
  }

  protected forget(): void {
    for (const { finish } of this.underWay.values()) finish();
    this.underWay.clear();
    for (const names of [this.loaded, this.known]) {
      names.clear();
      for (const [name, path] of this.startsWith) names.set(name, path);
    }
  }

  protected answer({ method, path, body, key }: Call): Answer | Promise<Answer | undefined> {
    const route = `${method} ${path}`;
    const acts = path === '/load_lora_adapter' || path === '/unload_lora_adapter';
    const wanted = acts ? (this.adminKey ?? this.key) : this.key;
    if (wanted !== undefined && key !== wanted) return { status: 401, body: { error: 'Unauthorized' } };
    if (route === 'GET /v1/models') return { status: 200, body: { object: 'list', data: this.models() } };
    if (!acts) return notFound;
    if (this.asserts) return { status: 500, body: 'Internal Server Error' };
    if (!this.loraEnabled) return this.said('LoRA is not enabled. Please set `--enable-lora`.');
    return path === '/load_lora_adapter' ? this.load(body) : this.unload(body);
  }

  private models(): object[] {
    const base = { id: this.baseModel, root: this.baseModel, parent: null };
    return [base, ...[...this.loaded].map(([id, root]) => ({ id, root, parent: this.baseModel }))];
  }

  private async load({ lora_name, lora_path }: Call['body']): Promise<Answer | undefined> {
    const [name, path] = [String(lora_name), String(lora_path)];
    if (!(await this.mayLoad())) return undefined;
    if (this.loaded.has(name)) {
      return this.said(`Failed to load LoRA adapter ${name} because it is already loaded`);
    }
    if (this.missingPaths.has(path)) return this.said(`${path} does not appear to have adapter_config.json`);
    this.loaded.set(name, path);
    this.known.set(name, path);
    return this.said();
  }

  private async unload({ lora_name }: Call['body']): Promise<Answer> {
    const name = String(lora_name);
    if (!this.loaded.delete(name)) {
      return this.said(`LoRA with name ${name} does not exist. Loaded adapters: ${this.adapters.join()}`);
    }
    // By then it is listed no more.
    await this.underWay.get(name)?.end;
    return this.said();
  }

  private said(error_message?: string): Answer {
    const success = error_message === undefined;
    const body = { success, error_message, loaded_adapters: Object.fromEntries(this.loaded) };
    return { status: success ? 200 : 400, body };
  }
}
