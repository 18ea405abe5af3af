import type { HistoryEvent } from './answers.js';

/**
 * The event that disabled a fleet: the oldest after the last one that left it enabled.
 * @param events of one fleet, newest first
 * @param complete whether they go back to its first event
 * @returns undefined when the fleet is enabled, or when it lies further back
 */
export function disablingEvent<T extends Pick<HistoryEvent, 'enabled'>>(
  events: readonly T[],
  complete: boolean,
): T | undefined {
  const enabledBefore = events.findIndex(({ enabled }) => enabled);
  if (enabledBefore === -1) return complete ? events.at(-1) : undefined;
  return events[enabledBefore - 1];
}
