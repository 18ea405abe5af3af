import {
  type Capabilities,
  type Driver,
  type DriverSettings,
  EngineError,
  type Observed,
} from '../driver.js';
import { isVersion } from '../fleet-state.js';
import { labelOf } from './adapter-label.js';
import { ask, below, type EngineReply } from './engine-http.js';
import { type Model, type Models, readModels } from './models.js';
import { refusal } from './refusal.js';

/** What differs between engines that load and unload adapters by name and list them beside their base model. */
export interface NamingProtocol {
  readonly capabilities: Capabilities;
  readonly advisory: boolean;
  readonly split: (models: readonly Model[]) => Models;
  readonly loadPath: string;
  readonly unloadPath: string;
  /** The adapter is loaded, by this call or before. */
  readonly isLoaded: (reply: EngineReply) => boolean;
  /** The adapter is not loaded any more, or never was. */
  readonly isUnloaded: (reply: EngineReply) => boolean;
  /** Overrides the common reading of a refusal, where it has another meaning here. */
  readonly refusal?: (reply: EngineReply, act: string) => EngineError | undefined;
  /** What to tell an operator whose engine has no such routes. */
  readonly missing: string;
}

/** A driver that speaks such a protocol. */
export function namedAdapters(settings: DriverSettings, protocol: NamingProtocol): Driver {
  /** The engine's names, by what they were last listed as. */
  let namesByLabel = new Map<string, readonly string[]>();

  async function look(signal: AbortSignal): Promise<Models> {
    const models = protocol.split(await readModels(settings, signal));
    const labels = models.adapters.map((each): [string, string] => [
      labelOf(listed(each), settings),
      each.id,
    ]);
    namesByLabel = grouped(labels);
    return models;
  }

  async function act(path: string, body: object, signal: AbortSignal): Promise<EngineReply> {
    return ask('POST', below(settings.engineUrl, path), { body, key: settings.engineKey, signal });
  }

  const refused = (reply: EngineReply, what: string): EngineError =>
    protocol.refusal?.(reply, what) ?? refusal(reply, what, protocol.missing);

  return {
    capabilities: protocol.capabilities,
    advisory: protocol.advisory,

    async list(signal): Promise<Observed> {
      const { base } = await look(signal);
      return { adapters: [...namesByLabel.keys()], baseModel: base[0] ?? null };
    },

    async ensureLoaded(version, signal, onlyLook) {
      const name = settings.adapterName(version);
      const { base, adapters } = await onlyLook(look(signal));
      if (base.includes(name)) throw new EngineError('refused', `${name} is the name of the base model`);
      if (namesByLabel.has(version)) return;
      // In its place the old one would be served from the cache, which goes by the name.
      const other = adapters.find(({ id }) => id === name);
      if (other) throw new EngineError('refused', `${name} is loaded from ${other.root ?? 'elsewhere'}`);
      const body = { lora_name: name, lora_path: settings.adapterPath(version) };
      const reply = await act(protocol.loadPath, body, signal);
      if (!protocol.isLoaded(reply)) throw refused(reply, `load ${name}`);
    },

    async ensureUnloaded(adapter, signal) {
      // A kill does not list first. What was never listed may still be on its way in.
      const unlisted = [isVersion(adapter) ? settings.adapterName(adapter) : adapter];
      for (const name of namesByLabel.get(adapter) ?? unlisted) {
        const reply = await act(protocol.unloadPath, { lora_name: name }, signal);
        if (!protocol.isUnloaded(reply)) throw refused(reply, `unload ${name}`);
      }
    },
  };
}

function listed({ id, root }: Model): { name: string; path: string | undefined } {
  return { name: id, path: root };
}

function grouped(pairs: readonly [string, string][]): Map<string, readonly string[]> {
  const groups = new Map<string, readonly string[]>();
  for (const [label, name] of pairs) groups.set(label, [...new Set([...(groups.get(label) ?? []), name])]);
  return groups;
}
