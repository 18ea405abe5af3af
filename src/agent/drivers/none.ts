import { type Driver, EngineError } from '../driver.js';

/** No engine to act on: whoever asks the agent what to serve obeys by himself. */
export function none(): Driver {
  const unsupported = (): Promise<never> =>
    Promise.reject(new EngineError('unsupported', 'there is no engine to act on'));
  return {
    capabilities: { runtimeLoad: false, killIsSticky: false, observesPath: false, drains: false },
    advisory: true,
    list: () => Promise.resolve({ adapters: [], baseModel: null }),
    ensureLoaded: unsupported,
    ensureUnloaded: unsupported,
  };
}
