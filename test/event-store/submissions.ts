import { sha256 } from '../../src/audit/core/leaf.js';
import type { Confirmed, Submission } from '../../src/event-store/submission.js';
import type { LoraCommand } from '../../src/lora/domain/commands.js';
import { decide } from '../../src/lora/domain/decide.js';
import type { Entry } from '../../src/event-store/batch.js';

interface More {
  readonly key?: string;
  readonly actor?: string;
  readonly reason?: string;
  /** The generation under which the command arrived. */
  readonly confirmed?: Confirmed | null;
  readonly among?: readonly string[];
  readonly decide?: Submission['decide'];
}

let made = 0;

/** A command on its way to the log, as the service sends it. */
export function submission(fleet: string, command: LoraCommand, more: More = {}): Submission {
  const { key = `key-${(made += 1)}`, actor = 'token:ana', reason = command.reason, confirmed = null } = more;
  return {
    fleet,
    among: more.among ?? null,
    isKill: command.type === 'DisableLora',
    key,
    fingerprint: sha256(JSON.stringify(command)),
    origin: { actor, auth: 'none', source: null, remote_address: null, request_id: 'request' },
    confirmed,
    deadline: Infinity,
    decide:
      more.decide ??
      ((name, stored, meanwhile) =>
        decide({ ...command, fleet: name, reason }, stored?.state ?? null, meanwhile)),
  };
}

export function entryOf(...submitted: Parameters<typeof submission>): Entry {
  return { submission: submission(...submitted), prepared: new Map() };
}
