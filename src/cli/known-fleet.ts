import { query } from './options.js';
import type { Session } from './session.js';

/**
 * The lists of a fleet that does not exist are empty, as those of one where nothing has happened: a slip in its name
 * must not look like an answer.
 * @throws Ended of an unknown fleet, which names the ones there are
 */
export async function checkFleet({ client }: Session, fleet: string | undefined): Promise<void> {
  if (fleet !== undefined) await client.get(`/lora/status${query({ fleet })}`, 'generation');
}
