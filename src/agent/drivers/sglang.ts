import { type Driver, type DriverSettings, EngineError } from '../driver.js';
import { type EngineReply, membersOf, messageOf } from './engine-http.js';
import { byParent } from './models.js';
import { namedAdapters } from './named-adapters.js';

/** Its unload waits for the requests under way, for ever if need be: the caller's signal ends the wait. */
export function sglang(settings: DriverSettings): Driver {
  // It keeps the names that it ever loaded, and loads one again for the next request that asks for it.
  const gatewayStrips = settings.gatewayStripsLora === true;
  return namedAdapters(settings, {
    capabilities: { runtimeLoad: true, killIsSticky: gatewayStrips, observesPath: true, drains: true },
    advisory: !gatewayStrips,
    split: byParent,
    loadPath: '/load_lora_adapter',
    unloadPath: '/unload_lora_adapter',
    isLoaded: (reply) => isSuccess(reply) || /already loaded/i.test(reasonIn(reply)),
    isUnloaded: (reply) => isSuccess(reply) || /does not exist/i.test(reasonIn(reply)),
    refusal: (reply, act) =>
      /not enabled/i.test(reasonIn(reply))
        ? new EngineError('unsupported', `${act}: ${messageOf(reply)}`)
        : undefined,
    missing: 'SGLang has it with --enable-lora',
  });
}

function isSuccess({ ok, body }: EngineReply): boolean {
  return ok && membersOf(body).success !== false;
}

/** Why it has not been done; empty when it says nothing of that. */
function reasonIn({ body }: EngineReply): string {
  const { success, error_message: reason } = membersOf(body);
  return success === false && typeof reason === 'string' ? reason : '';
}
