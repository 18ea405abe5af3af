import type { Driver, DriverSettings } from '../driver.js';
import { type EngineReply, membersOf } from './engine-http.js';
import { byOrder } from './models.js';
import { namedAdapters } from './named-adapters.js';

/** Modular MAX Serve. It tells names only, so a version must be in the name. */
export function max(settings: DriverSettings): Driver {
  return namedAdapters(settings, {
    capabilities: { runtimeLoad: true, killIsSticky: true, observesPath: false, drains: false },
    advisory: false,
    split: byOrder,
    loadPath: '/v1/load_lora_adapter',
    unloadPath: '/v1/unload_lora_adapter',
    isLoaded: ({ ok }) => ok,
    isUnloaded: (reply) => reply.ok || isUnknownName(reply),
    missing: 'MAX Serve has it when it was started with LoRA enabled',
  });
}

/** A 404 with a reason of its own; that of a route which is not there has none. */
function isUnknownName({ status, body }: EngineReply): boolean {
  const { detail } = membersOf(body);
  return status === 404 && typeof detail === 'string' && detail !== 'Not Found';
}
