import { Injectable } from '@nestjs/common';

import { bodyOf, type EventEntity } from '../event-store/event.entity.js';
import { EventReader } from '../event-store/event-reader.js';
import type { HistoryEvent, HistoryPageBody, HistoryQuery } from './history.dto.js';

/** The log as auditors read it. */
@Injectable()
export class HistoryService {
  constructor(private readonly reader: EventReader) {}

  async page({ cursor, limit, ...filter }: HistoryQuery): Promise<HistoryPageBody> {
    const size = Number(limit ?? 100);
    const before = cursor === undefined ? undefined : Number(cursor);
    const found = await this.reader.page(filter, before, size + 1);
    const events = found.slice(0, size).map(historyEvent);
    return { events, next_cursor: found.length > size ? String(events.at(-1)?.position) : null };
  }
}

function historyEvent(event: EventEntity): HistoryEvent {
  return {
    position: event.position,
    recorded_at: event.recordedAt,
    ...bodyOf(event),
    leaf_hash: event.leafHash.toString('hex'),
  };
}
