import { EngineError } from '../driver.js';
import { type EngineReply, messageOf } from './engine-http.js';

/** Of a route, not of an adapter: what an adapter's 404 looks like only its driver knows. */
const NO_SUCH_ROUTE = new Set([404, 405, 501]);

/**
 * The error for an answer that is not the wished-for one.
 * @param missing what to say when the engine has no such route
 */
export function refusal(reply: EngineReply, act: string, missing: string): EngineError {
  const said = `${act}: ${messageOf(reply)}`;
  return NO_SUCH_ROUTE.has(reply.status)
    ? new EngineError('unsupported', `${said} (${missing})`)
    : new EngineError('refused', said);
}
