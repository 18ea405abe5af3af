import { type Driver, type DriverSettings, EngineError } from '../driver.js';
import { type EngineReply, membersOf, messageOf } from './engine-http.js';
import { byParent } from './models.js';
import { namedAdapters } from './named-adapters.js';

export function vllm(settings: DriverSettings): Driver {
  return namedAdapters(settings, {
    capabilities: {
      runtimeLoad: true,
      // A resolver plugin, which nobody can see from here, loads a name again when a request asks for it.
      killIsSticky: settings.gatewayStripsLora === true,
      observesPath: true,
      drains: false,
    },
    advisory: false,
    split: byParent,
    loadPath: '/v1/load_lora_adapter',
    unloadPath: '/v1/unload_lora_adapter',
    // Said whatever path it was loaded from: the next list shows that.
    isLoaded: (reply) =>
      reply.ok || (reply.status === 400 && /already\b.*\bloaded/i.test(errorIn(reply).message)),
    isUnloaded: (reply) => reply.ok || isUnknownName(reply),
    // A path that was not found has the status of a route that is not there.
    refusal: (reply, act) =>
      isUnknownName(reply) ? new EngineError('refused', `${act}: ${messageOf(reply)}`) : undefined,
    missing: 'vLLM has it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 and --enable-lora',
  });
}

/** By its type: some builds answer 404, some 400. */
function isUnknownName(reply: EngineReply): boolean {
  return (reply.status === 404 || reply.status === 400) && errorIn(reply).type === 'NotFoundError';
}

/** Newer builds wrap the error, older ones do not. */
function errorIn({ body }: EngineReply): { readonly type: unknown; readonly message: string } {
  const flat = membersOf(body);
  const { type, message } = { ...flat, ...membersOf(flat.error) };
  return { type, message: typeof message === 'string' ? message : '' };
}
