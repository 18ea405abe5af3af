import type { EventBody } from './events.js';
import { currentVersion, type FleetState } from './state.js';

/** What only the log can tell about the moment before an event. */
export interface Hindsight {
  /** When the event was recorded. RFC 3339, as all times here. */
  readonly now: string;
  /** The event that disabled the fleet (a kill, or its making), when it was disabled already. */
  readonly disabledSince: { readonly recordedAt: string; readonly actor: string } | null;
  /** Whether the version commanded had ever been active in the fleet. */
  readonly wasEverActive: boolean;
}

/**
 * What could surprise the reader of a command's answer; undefined when nothing could. Rests on the log alone, so
 * that a replayed answer says what the first one said.
 */
export function noticeOf(
  before: FleetState | null,
  event: EventBody,
  after: FleetState,
  hindsight: Hindsight,
): string | undefined {
  const sentences: string[] = [];
  const version = event.adapter_version;
  const named = version ?? 'the base model';
  const current = currentVersion(after);

  switch (event.type) {
    case 'LoraInitialized':
      break;
    case 'LoraDisabled':
      if (hindsight.disabledSince) {
        const { recordedAt, actor } = hindsight.disabledSince;
        sentences.push(`Already disabled since ${clockTime(recordedAt, hindsight.now)} by ${actor}.`);
      }
      break;
    case 'LoraEnabled':
      if (version !== null && !hindsight.wasEverActive) sentences.push(neverActive(named, event.fleet));
      if (before?.enabled && event.from_version === event.to_version)
        sentences.push('LoRA was enabled already.');
      if (current === null) sentences.push('No adapter version to bring back: the base model serves.');
      break;
    case 'LoraRolledBack':
      if (version !== null && !hindsight.wasEverActive) sentences.push(neverActive(named, event.fleet));
      if (current === null) sentences.push('No earlier version: fell back to the base model.');
      else if (event.from_version === event.to_version)
        sentences.push(`${current} was the current version already.`);
      if (!after.enabled) {
        sentences.push(`LoRA stays DISABLED; enable will bring ${current ?? 'the base model'}.`);
      }
      break;
    case 'AdapterDeployed':
      if (event.from_version === event.to_version) sentences.push(`${named} was active already.`);
      break;
  }
  return sentences.length > 0 ? sentences.join(' ') : undefined;
}

function neverActive(version: string, fleet: string): string {
  return `${version} was never active in fleet ${fleet}.`;
}

/** `02:14:07Z`, after the day when that was another day than the event's. */
function clockTime(since: string, now: string): string {
  const day = since.slice(0, 10) === now.slice(0, 10) ? '' : `${since.slice(0, 10)} `;
  return `${day}${since.slice(11, 19)}Z`;
}
