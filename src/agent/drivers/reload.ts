import { type Driver, type DriverSettings, EngineError } from '../driver.js';
import { ask, below, type EngineReply, membersOf } from './engine-http.js';
import { refusal } from './refusal.js';

const MISSING = 'a reload sidecar has /internal/lora/reload and /internal/lora/state';

/** A reload that nobody waited for is over by then: the time limit of the sidecar's clients. */
const RELOAD_MAX_MS = 120_000;

/** The sidecar says that something is active, but not what. */
const UNNAMED = 'an adapter without a version';

/**
 * The reload sidecar of a learning engine. It knows no unload: a kill calls the disable hook, whose effect the sidecar's
 * state does not show and the next reload ends. The hook counts until then, for what was active when it was called, and
 * as long as the sidecar answers: one that was away may have started anew.
 */
export function reload(settings: DriverSettings): Driver {
  const { engineUrl, engineKey: key, disableHook } = settings;
  /** By the last list or reload; undefined before any, null for the base model. */
  let active: string | null | undefined;
  /** What the hook has taken out of service. */
  let disabled: string | undefined;
  /** Counts the reloads sent, so that a hook that answers after a later one says nothing. */
  let reloads = 0;
  /** Until then what is active may be reloaded once more, unseen, and be back in service. */
  let doubtUntil = 0;

  async function readActive(signal: AbortSignal): Promise<string | null> {
    const reply = await ask('GET', below(engineUrl, '/internal/lora/state'), { key, signal });
    if (!reply.ok) throw refusal(reply, 'list', MISSING);
    return activeIn(reply);
  }

  return {
    capabilities: {
      runtimeLoad: disableHook !== undefined,
      killIsSticky: false,
      observesPath: false,
      drains: false,
    },
    // What the hook did is not in the sidecar's state: nobody has seen it.
    advisory: true,
    loadReplaces: true,

    async list(signal) {
      try {
        active = await readActive(signal);
      } catch (error) {
        disabled = undefined;
        throw error;
      }
      if (active !== disabled) disabled = undefined;
      return { adapters: active === null || active === disabled ? [] : [active], baseModel: null };
    },

    async ensureLoaded(version, signal) {
      reloads++;
      disabled = undefined;
      const body = { adapter_path: settings.adapterPath(version), adapter_version: version };
      // Any other version shows itself in the state when it arrives late.
      const unseen = active === undefined || active === version;
      if (unseen) doubtUntil = performance.now() + RELOAD_MAX_MS;
      const reply = await ask('POST', below(engineUrl, '/internal/lora/reload'), { body, key, signal });
      doubtUntil = 0;
      if (!reply.ok) throw refusal(reply, `reload ${version}`, MISSING);
      active = version;
    },

    async ensureUnloaded(adapter, signal) {
      if (!disableHook) {
        throw new EngineError('unsupported', `unload ${adapter}: no unload here, and no disable hook is set`);
      }
      const before = { reloads, active, inDoubt: performance.now() < doubtUntil };
      // Not with the engine's key: the hook may be another's.
      const reply = await ask('POST', disableHook, { body: { enabled: false }, signal });
      if (!reply.ok) throw refusal(reply, 'disable hook', 'no such hook');
      if (before.inDoubt || before.reloads !== reloads) return;
      disabled = before.active === undefined ? adapter : (before.active ?? undefined);
    },
  };
}

/** @throws EngineError when it is no state: what cannot be read must not look like the base model */
function activeIn({ body }: EngineReply): string | null {
  const { state } = membersOf(body);
  if (typeof state !== 'object' || state === null) {
    throw new EngineError('refused', 'list: /internal/lora/state answers no state');
  }
  const { active_adapter: adapter } = membersOf(state);
  if (adapter === null || adapter === undefined) return null;
  const { adapter_version: version } = membersOf(adapter);
  return typeof version === 'string' && version !== '' ? version : UNNAMED;
}
