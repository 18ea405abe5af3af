import { type Driver, type DriverSettings, EngineError } from '../driver.js';
import { isVersion } from '../fleet-state.js';
import { foreignLabel } from './adapter-label.js';
import { ask, below, membersOf } from './engine-http.js';
import { refusal } from './refusal.js';

const MISSING = 'llama.cpp server has /lora-adapters when it was started with a --lora';

/** An adapter that llama.cpp server was started with; at scale 0 it does nothing. */
interface StartedAdapter {
  readonly id: number;
  readonly scale: number;
  readonly label: string;
}

/**
 * It loads nothing at run time, so to load is to turn up what it was started with. Each change replaces the whole set;
 * a request's own `lora` field overrides it.
 */
export function llamacpp(settings: DriverSettings): Driver {
  const gatewayStrips = settings.gatewayStripsLora === true;
  const route = below(settings.engineUrl, '/lora-adapters');
  /** What was to go, until it is wanted again: one of two unloads at a time must not bring the other's back. */
  const dropped = new Set<string>();

  async function read(signal: AbortSignal): Promise<readonly StartedAdapter[]> {
    const reply = await ask('GET', route, { key: settings.engineKey, signal });
    if (!reply.ok) throw refusal(reply, 'list', MISSING);
    if (!Array.isArray(reply.body))
      throw new EngineError('refused', 'list: the answer is no list of adapters');
    return reply.body.map((entry: unknown) => adapterIn(entry, settings));
  }

  async function replace(set: readonly StartedAdapter[], act: string, signal: AbortSignal): Promise<void> {
    const body = set.map(({ id, scale }) => ({ id, scale }));
    const reply = await ask('POST', route, { body, key: settings.engineKey, signal });
    if (!reply.ok) throw refusal(reply, act, MISSING);
  }

  return {
    capabilities: { runtimeLoad: false, killIsSticky: gatewayStrips, observesPath: true, drains: false },
    advisory: !gatewayStrips,
    loadReplaces: true,

    async list(signal) {
      const adapters = (await read(signal)).filter(isOn).map(({ label }) => label);
      return { adapters: [...new Set(adapters)], baseModel: null };
    },

    async ensureLoaded(version, signal, look) {
      // First of all, so that a kill which interrupts this has the last word.
      dropped.delete(version);
      const wanted = (await look(read(signal))).find(({ label }) => label === version);
      if (!wanted) {
        const path = settings.adapterPath(version);
        throw new EngineError('unsupported', `needs-restart: ${path} was not given at the start (--lora)`);
      }
      await replace([{ ...wanted, scale: 1 }], `load ${version}`, signal);
    },

    async ensureUnloaded(adapter, signal) {
      dropped.add(adapter);
      const on = (await read(signal)).filter(isOn);
      const staying = on.filter(({ label }) => !dropped.has(label));
      if (staying.length < on.length) await replace(staying, `unload ${adapter}`, signal);
    },
  };
}

const isOn = ({ scale }: StartedAdapter): boolean => scale !== 0;

function adapterIn(entry: unknown, { adapterPath }: DriverSettings): StartedAdapter {
  const { id, path, scale } = membersOf(entry);
  if (typeof id !== 'number' || typeof path !== 'string' || typeof scale !== 'number') {
    throw new EngineError('refused', 'list: an adapter without id, path and scale');
  }
  return { id, scale, label: versionAt(path, adapterPath) ?? foreignLabel(path) };
}

/** The version of which the template makes this path. */
function versionAt(path: string, adapterPath: DriverSettings['adapterPath']): string | null {
  // No path has this in it, so it stands for the version, once or more often.
  const literals = adapterPath('\0').split('\0');
  const [before = ''] = literals;
  const length = (path.length - literals.join('').length) / (literals.length - 1);
  const version = path.slice(before.length, before.length + length);
  return isVersion(version) && adapterPath(version) === path ? version : null;
}
