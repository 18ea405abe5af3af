import type { LoraEvent } from './events.js';

export const HISTORY_MAX = 100;

/** An event with its place in the log, as far as the histories need it. */
export interface LoggedEvent {
  readonly position: number;
  readonly recordedAt: string;
  readonly type: LoraEvent['type'];
  readonly fleet: string;
  readonly from_version: string | null;
  readonly to_version: string | null;
  readonly enabled: boolean;
  readonly reason: string;
  readonly actor: string;
}

export interface RollbackEntry {
  readonly timestamp: string;
  readonly from_version: string | null;
  readonly to_version: string | null;
  readonly enabled: boolean;
  readonly reason: string;
  readonly actor: string;
  readonly generation: number;
}

export interface ActivationEntry extends RollbackEntry {
  readonly operation: 'enabled' | 'deployed';
}

/** The newest {@link HISTORY_MAX} of each, oldest first. */
export interface Histories {
  readonly rollback_history: readonly RollbackEntry[];
  readonly activation_history: readonly ActivationEntry[];
}

export const noHistories: Histories = { rollback_history: [], activation_history: [] };

/** The types of event that one of the histories shows. */
export const REMEMBERED = ['LoraRolledBack', 'LoraEnabled', 'AdapterDeployed'] as const;

/** The histories after an event; the same object when the event is in neither. */
export function remember(histories: Histories, event: LoggedEvent): Histories {
  const { recordedAt, from_version, to_version, enabled, reason, actor, position } = event;
  const entry = {
    timestamp: recordedAt,
    from_version,
    to_version,
    enabled,
    reason,
    actor,
    generation: position,
  };
  switch (event.type) {
    case 'LoraRolledBack':
      return { ...histories, rollback_history: newest(histories.rollback_history, entry) };
    case 'LoraEnabled':
    case 'AdapterDeployed': {
      const operation = event.type === 'LoraEnabled' ? 'enabled' : 'deployed';
      return {
        ...histories,
        activation_history: newest(histories.activation_history, { ...entry, operation }),
      };
    }
    default:
      return histories;
  }
}

function newest<T>(entries: readonly T[], entry: T): readonly T[] {
  return [...entries, entry].slice(-HISTORY_MAX);
}
