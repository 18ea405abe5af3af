import { type Answer, type Call, notFound, TestEngine } from './test-engine.js';

/** The reload sidecar of a learning engine, with a disable hook that its state knows nothing of. */
export class ReloadSidecar extends TestEngine {
  active: { readonly adapter_path: string; readonly adapter_version: string } | null = null;
  /** What a new process loads by itself. */
  startsWith: ReloadSidecar['active'] = null;
  /** False after the hook, until the next reload. */
  enabled = true;
  key: string | undefined;
  readonly missingPaths = new Set<string>();

  get adapters(): readonly string[] {
    return this.active && this.enabled ? [this.active.adapter_version] : [];
  }

  get hook(): URL {
    return new URL('/hooks/lora?from=agent', this.url);
  }

  protected forget(): void {
    this.active = this.startsWith;
    this.enabled = true;
  }

  protected answer({ method, path, body, key }: Call): Answer | Promise<Answer | undefined> {
    const route = `${method} ${path}`;
    if (route === 'POST /hooks/lora?from=agent') {
      this.enabled = body.enabled === true;
      return { status: 204, body: '' };
    }
    if (this.key !== undefined && key !== this.key) return refused(401, 'bad token');
    if (route === 'POST /internal/lora/reload') return this.reload(body);
    if (route !== 'GET /internal/lora/state') return notFound;
    return { status: 200, body: { state: { active_adapter: this.active } } };
  }

  private async reload({ adapter_path, adapter_version }: Call['body']): Promise<Answer | undefined> {
    if (typeof adapter_path !== 'string' || typeof adapter_version !== 'string') {
      return refused(422, 'adapter_path and adapter_version are required');
    }
    if (!(await this.mayLoad())) return undefined;
    if (this.missingPaths.has(adapter_path)) return refused(404, `no adapter at ${adapter_path}`);
    this.active = { adapter_path, adapter_version };
    this.enabled = true;
    return { status: 200, body: { status: 'ok', state: { active_adapter: this.active } } };
  }
}

const refused = (status: number, detail: string): Answer => ({ status, body: { detail } });
