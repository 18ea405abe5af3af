/** What a kill and a load can do on an engine; shown in the engine's row, so that nobody trusts more than there is. */
export interface Capabilities {
  /** Adapters can be loaded and unloaded while the engine runs. */
  readonly runtimeLoad: boolean;
  /** What was unloaded stays so until somebody loads it: no request brings it back. */
  readonly killIsSticky: boolean;
  /** The engine tells from where an adapter was loaded. */
  readonly observesPath: boolean;
  /** Unloading lets requests under way end first. */
  readonly drains: boolean;
}

export interface Observed {
  /** What the engine serves beside its base model: adapter versions, or the engine's names where they are not ours. */
  readonly adapters: readonly string[];
  /** The base model's name; null where the engine does not tell. */
  readonly baseModel: string | null;
}

/** Awaits a question that changes nothing. */
export type Look = <T>(asking: Promise<T>) => Promise<T>;

/**
 * One kind of engine. An answer of 200 is never proof: the agent lists again after each act. Every call ends when its
 * signal is aborted, and then its outcome is unknown.
 * @throws EngineError from every call
 */
export interface Driver {
  readonly capabilities: Capabilities;
  /** A kill can be got round here (by a request that names an adapter, or for want of an unload). */
  readonly advisory: boolean;
  /**
   * A load takes the place of what was loaded before, so nothing has to be unloaded first. Where an engine knows no
   * unload, that is the only way from one version to the next.
   */
  readonly loadReplaces?: boolean;
  list(signal: AbortSignal): Promise<Observed>;
  /**
   * Loads a version; that it is loaded already is no error.
   * @param look awaits what only asks, before anything is sent that may load: nothing can come of a load that ends then
   */
  ensureLoaded(version: string, signal: AbortSignal, look: Look): Promise<void>;
  /** Unloads what `list` named so; that it is not loaded is no error. */
  ensureUnloaded(adapter: string, signal: AbortSignal): Promise<void>;
}

/** What every kind of engine is told. */
export interface DriverSettings {
  /** May have a path, below which the engine is. */
  readonly engineUrl: URL;
  readonly adapterPath: (version: string) => string;
  /** The one name of a version in the engine, for ever: engines cache by name. */
  readonly adapterName: (version: string) => string;
  /** The way back from a name; null when it is not one of ours. */
  readonly versionOf: (name: string) => string | null;
  /** Read at each request, so that a key can be changed. */
  readonly engineKey?: () => string | undefined;
  /** What a kill calls where the engine has no unload. */
  readonly disableHook?: URL;
  /** A gateway in front takes out of requests whatever names an adapter. */
  readonly gatewayStripsLora?: boolean;
}

/** Why an engine did not do it. */
export class EngineError extends Error {
  constructor(
    /**
     * `unreachable`: nothing was heard, or too late: whatever was asked may have happened.
     * `refused`: the engine answered that it will not, and why.
     * `unsupported`: this engine cannot, as it was started.
     */
    readonly kind: 'unreachable' | 'refused' | 'unsupported',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
