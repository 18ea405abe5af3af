import { type Answer, type Call, notFound, TestEngine } from './test-engine.js';

/** Modular MAX Serve. */
export class MaxEngine extends TestEngine {
  baseModel = 'org/base-model';
  readonly loaded = new Map<string, string>();
  startsWith: ReadonlyMap<string, string> = new Map();
  loraEnabled = true;
  /** A build that is too old to have the routes. */
  hasRoutes = true;
  readonly missingPaths = new Set<string>();

  get adapters(): readonly string[] {
    return [...this.loaded.keys()];
  }

  protected forget(): void {
    this.loaded.clear();
    for (const [name, path] of this.startsWith) this.loaded.set(name, path);
  }

  protected answer({ method, path, body }: Call): Answer | Promise<Answer | undefined> {
    const route = `${method} ${path}`;
    if (route === 'GET /v1/models') {
      const data = [this.baseModel, ...this.adapters].map((id) => ({ id, object: 'model', owned_by: '' }));
      return { status: 200, body: { object: 'list', data } };
    }
    const acts = route === 'POST /v1/load_lora_adapter' || route === 'POST /v1/unload_lora_adapter';
    if (!acts || !this.hasRoutes) return notFound;
    if (!this.loraEnabled) return refused(501, 'LoRA functionality is not enabled on this server.');
    return path === '/v1/load_lora_adapter' ? this.load(body) : this.unload(body);
  }

  private async load({ lora_name, lora_path }: Call['body']): Promise<Answer | undefined> {
    const [name, path] = [String(lora_name), String(lora_path)];
    if (!(await this.mayLoad())) return undefined;
    if (this.missingPaths.has(path)) return refused(400, `LoRA path does not exist: ${path}`);
    const other = this.loaded.get(name);
    if (other !== undefined && other !== path) return refused(409, `${name} is loaded from ${other}`);
    this.loaded.set(name, path);
    return done(`LoRA adapter '${name}' loaded`);
  }

  private unload({ lora_name }: Call['body']): Answer {
    const name = String(lora_name);
    if (!this.loaded.delete(name)) return refused(404, `LoRA adapter '${name}' is not loaded`);
    return done(`LoRA adapter '${name}' unloaded`);
  }
}

const done = (message: string): Answer => ({ status: 200, body: { status: 'success', message } });

const refused = (status: number, detail: string): Answer => ({ status, body: { detail } });
