import { Injectable } from '@nestjs/common';

import { bodyOf, type EventEntity } from '../event-store/event.entity.js';
import { EventReader } from '../event-store/event-reader.js';
import { Answer } from '../http/answer.js';
import { Refusal } from './domain/errors.js';
import { type StoredState, tagMatches, tagOf, viewOf } from './domain/view.js';
import type { ActivationEntry, FleetPageBody, RollbackEntry, StatusBody } from './lora.dto.js';

const NAMES_SHOWN = 20;

/** What readers see of the fleets. */
@Injectable()
export class StatusService {
  constructor(private readonly reader: EventReader) {}

  /** The state of a fleet; 304 without a body when the reader's tag is the current one. */
  async status(fleet: string, ifNoneMatch: string | undefined): Promise<Answer<StatusBody | undefined>> {
    const stored = await this.latest(fleet);
    const logId = await this.reader.logId();
    const tag = tagOf(logId, stored.generation);
    const headers = { ETag: `"${tag}"`, 'Cache-Control': 'no-cache' };
    if (ifNoneMatch !== undefined && tagMatches(ifNoneMatch, tag, false))
      return new Answer(undefined, headers, 304);
    return new Answer(await this.withHistories(logId, stored), headers);
  }

  /** @throws Refusal `unknown-fleet`, naming the fleets there are */
  async latest(fleet: string): Promise<StoredState> {
    const stored = await this.reader.latest(fleet);
    if (stored === null) throw await this.unknownFleet(fleet);
    return stored;
  }

  async unknownFleet(fleet: string): Promise<Refusal> {
    const names = await this.reader.fleetNames(NAMES_SHOWN + 1);
    const more = names.length > NAMES_SHOWN ? ', …' : '';
    const known = names.slice(0, NAMES_SHOWN).join(', ') + more;
    return new Refusal('unknown-fleet', `There is no fleet ${fleet}. The fleets are: ${known}.`, null);
  }

  async page(after: string, limit: number): Promise<FleetPageBody> {
    const logId = await this.reader.logId();
    const found = await this.reader.fleets(after, limit + 1);
    const fleets = found.slice(0, limit).map((stored) => viewOf(logId, stored));
    return { fleets, next_cursor: found.length > limit ? (fleets.at(-1)?.fleet ?? null) : null };
  }

  /** The state with its two histories as of its generation. */
  async withHistories(logId: string, stored: StoredState): Promise<StatusBody> {
    const { fleet, generation } = stored;
    const [rollbacks, activations] = await Promise.all([
      this.reader.newest(fleet, ['LoraRolledBack'], generation),
      this.reader.newest(fleet, ['LoraEnabled', 'AdapterDeployed'], generation),
    ]);
    return {
      ...viewOf(logId, stored),
      rollback_history: rollbacks.map(rollbackEntry),
      activation_history: activations.map(activationEntry),
    };
  }
}

function rollbackEntry(event: EventEntity): RollbackEntry {
  const { from_version, to_version, enabled, reason, actor } = bodyOf(event);
  return {
    timestamp: event.recordedAt,
    from_version,
    to_version,
    enabled,
    reason,
    actor,
    generation: event.position,
  };
}

function activationEntry(event: EventEntity): ActivationEntry {
  return { ...rollbackEntry(event), operation: event.type === 'AdapterDeployed' ? 'deployed' : 'enabled' };
}
