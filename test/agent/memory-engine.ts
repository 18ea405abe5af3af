import { type Driver, EngineError, type Look, type Observed } from '../../src/agent/driver.js';

/** An engine in memory, with its driver: what it serves, what was asked of it, and the faults that a test wants. */
export class MemoryEngine implements Driver {
  capabilities = { runtimeLoad: true, killIsSticky: true, observesPath: true, drains: false };
  advisory = false;
  readonly adapters: Set<string>;
  readonly calls: string[] = [];
  /** Held calls whose signal was aborted. */
  readonly aborted: string[] = [];
  /** Calls that are held until the test lets go, by `look v1`, `load v1`, `unload v1` or `list`. */
  readonly held = new Map<string, () => void>();
  /** Which calls to hold. */
  hold: (call: string) => boolean = () => false;
  /** What a call ends with; undefined for success. */
  fail: (call: string) => EngineError | undefined = () => undefined;
  /** A call answers and does nothing. */
  lie: (call: string) => boolean = () => false;
  down = false;
  /** Ignores signals, as a driver should not. */
  deaf = false;

  constructor(...adapters: string[]) {
    this.adapters = new Set(adapters);
  }

  async list(signal: AbortSignal): Promise<Observed> {
    await this.call('list', signal);
    return { adapters: [...this.adapters], baseModel: 'base' };
  }

  async ensureLoaded(version: string, signal: AbortSignal, look: Look): Promise<void> {
    await look(this.call(`look ${version}`, signal));
    await this.call(`load ${version}`, signal, () => this.adapters.add(version));
  }

  async ensureUnloaded(adapter: string, signal: AbortSignal): Promise<void> {
    await this.call(`unload ${adapter}`, signal, () => this.adapters.delete(adapter));
  }

  /** Ends a held call now: its work is done, whether somebody still waits for it or not. */
  release(call: string): void {
    this.held.get(call)?.();
    this.held.delete(call);
  }

  count(call: string): number {
    return this.calls.filter((each) => each === call).length;
  }

  /** Forgets everything, as engines do. */
  restart(): void {
    this.adapters.clear();
  }

  private async call(
    call: string,
    signal: AbortSignal,
    work: () => unknown = () => undefined,
  ): Promise<void> {
    this.calls.push(call);
    if (this.down) throw new EngineError('unreachable', 'connection refused');
    const failure = this.fail(call);
    if (failure) throw failure;
    if (!this.hold(call)) {
      if (!this.lie(call)) work();
      return;
    }
    await new Promise<void>((resolve, reject) => {
      this.held.set(call, () => {
        work();
        resolve();
      });
      signal.addEventListener('abort', () => {
        this.aborted.push(call);
        if (!this.deaf) reject(new EngineError('unreachable', 'aborted'));
      });
    });
  }
}
