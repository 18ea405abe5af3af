import type { Driver, DriverSettings, EngineError } from '../../../src/agent/driver.js';
import { readAgentSettings } from '../../../src/agent/settings.js';
import type { TestEngine } from './test-engine.js';

export interface Choices extends Pick<DriverSettings, 'engineKey' | 'disableHook' | 'gatewayStripsLora'> {
  readonly name?: string;
  readonly path?: string;
}

/** What an operator would have set for an engine there. */
export function settingsFor(engineUrl: URL, { name, path, ...more }: Choices = {}): DriverSettings {
  const args = ['--driver', 'none', '--adapter-name', name ?? '{version}'];
  if (path !== undefined) args.push('--adapter-path', path);
  const { adapterPath, adapterName, versionOf } = readAgentSettings(args, {}, 'host');
  return { engineUrl, adapterPath, adapterName, versionOf, ...more };
}

/** Nobody ends it. */
export function patient(): AbortSignal {
  return new AbortController().signal;
}

/** The error with which a call ended; fails when it has not. */
export async function errorOf(call: Promise<unknown>): Promise<EngineError> {
  const outcome: unknown = await call.then(
    () => 'no error',
    (error: unknown) => error,
  );
  if (outcome instanceof Error && 'kind' in outcome) return outcome as EngineError;
  throw new Error(`Not an EngineError: ${String(outcome)}`);
}

/** What a test does with the present driver and its engine. */
export function handsOn(present: () => { readonly driver: Driver; readonly engine: TestEngine }) {
  return {
    list: async () => (await present().driver.list(patient())).adapters,
    load: (version: string, signal = patient()) =>
      present().driver.ensureLoaded(version, signal, (asking) => asking),
    unload: (adapter: string, signal = patient()) => present().driver.ensureUnloaded(adapter, signal),
    /** The bodies that the engine got there, in order. */
    sent: (path: string) =>
      present()
        .engine.calls.filter((call) => call.path === path)
        .map(({ body }) => body),
  };
}
