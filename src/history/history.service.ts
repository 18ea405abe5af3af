import { Injectable } from '@nestjs/common';
import type { Response } from 'express';

import { HistoryReader } from '../event-store/history-reader.js';
import type { LogPart } from '../event-store/history-rows.js';
import { bodyOf } from '../event-store/event.entity.js';
import { EventReader, type LoggedRow } from '../event-store/event-reader.js';
import { Tallies } from '../event-store/tallies.js';
import { checkFleet, fleetsAsked, type Identity, scopeOf } from '../http/identity.js';
import { pageOf } from '../http/page.js';
import { Problem } from '../http/problem.js';
import { exported } from './export.js';
import type {
  ExportQuery,
  HistoryEvent,
  HistoryPageBody,
  HistoryQuery,
  PartQuery,
  SummaryBody,
  SummaryQuery,
} from './history.dto.js';
import { sendFile } from './send-file.js';
import { summaryOf } from './summary.js';

/** Exports that one replica sends at a time. */
const EXPORTS_MAX = 4;
/** A reader that has read nothing for so long gives its place back. */
const SILENCE_MS = 30_000;

/** The log as auditors read it. */
@Injectable()
export class HistoryService {
  private exports = 0;

  constructor(
    private readonly reader: EventReader,
    private readonly past: HistoryReader,
    private readonly tallies: Tallies,
  ) {}

  /** @throws Problem 404 when the log has nothing at that position, 403 when it is of a fleet of others */
  async one(identity: Identity, position: number): Promise<HistoryEvent> {
    const event = await this.reader.one(position);
    if (event === null) throw new Problem('not-found', `The log has no event at position ${position}.`);
    checkFleet(identity, event.fleet);
    const [named = historyEvent(event)] = await this.named([event]);
    return named;
  }

  async summary(identity: Identity, { cursor, limit, ...query }: SummaryQuery): Promise<SummaryBody> {
    const part = partOf(identity, query);
    const size = pageSize(limit);
    await this.tallies.catchUp();
    const tallied = await this.tallies.read(part, cursor === undefined ? null : Number(cursor), size + 1);
    const { page: kills, next_cursor } = pageOf(tallied.kills, size, positionOf);
    return { ...summaryOf(part, tallied), kills, ...scopeOf(identity, query.fleet), next_cursor };
  }

  /**
   * Sends a part of the log as a file, as fast as the caller reads. One that breaks off ends without its end.
   * @throws Problem 503 when too many are being sent, LogUnavailable before anything has been sent
   */
  async export(identity: Identity, { format, ...query }: ExportQuery, response: Response): Promise<void> {
    if (this.exports >= EXPORTS_MAX) {
      const detail = `This replica is sending ${EXPORTS_MAX} exports already.`;
      throw new Problem('too-many-streams', detail, {}, { 'Retry-After': '10' });
    }
    this.exports++;
    try {
      const head = await this.past.head();
      const name = `lora-log-${head.log_id.slice(0, 8)}-${head.position}.${format}`;
      const headers = {
        'Content-Type': format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson',
        'Content-Disposition': `attachment; filename="${name}"`,
        'Cache-Control': 'no-store',
      };
      const text = exported(this.past, head, partOf(identity, query), format);
      await sendFile(response, headers, text, SILENCE_MS);
    } finally {
      this.exports--;
    }
  }

  async page(identity: Identity, { cursor, limit, fleet, ...rest }: HistoryQuery): Promise<HistoryPageBody> {
    const filter = { ...rest, fleets: fleetsAsked(identity, fleet) };
    const size = pageSize(limit);
    const before = cursor === undefined ? undefined : Number(cursor);
    const { events, readTo } = await this.reader.page(filter, before, size + 1);
    const { page, next_cursor } = pageOf(events, size, positionOf);
    const goOn = next_cursor ?? (readTo === null ? null : String(readTo));
    return { events: await this.named(page), ...scopeOf(identity, fleet), next_cursor: goOn };
  }

  /** Only an issuer says how its callers are called. */
  private async named(rows: readonly LoggedRow[]): Promise<HistoryEvent[]> {
    const events = rows.map(historyEvent);
    const names = await this.reader.actorNames(
      events.filter(({ auth }) => auth === 'oidc').map(({ position }) => position),
    );
    return events.map((event) => {
      const actor_name = names.get(event.position);
      return actor_name === undefined ? event : { ...event, actor_name };
    });
  }
}

const pageSize = (limit: string | undefined): number => Number(limit ?? 100);
const positionOf = ({ position }: { position: number }): string => String(position);

function partOf(identity: Identity, { since, until, fleet }: PartQuery): LogPart {
  const fleets = fleetsAsked(identity, fleet);
  return { since: since ?? null, until: until ?? null, fleet: fleet ?? null, fleets };
}

function historyEvent(event: LoggedRow): HistoryEvent {
  return {
    position: event.position,
    recorded_at: event.recordedAt,
    ...bodyOf(event),
    leaf_hash: event.leafHash.toString('hex'),
  };
}
