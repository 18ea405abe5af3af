import { sha256 } from '../../src/audit/core/leaf.js';
import type { LogRow, LogSince, LogSnapshot } from '../../src/event-store/log-answers.js';
import type { LoraEvent } from '../../src/lora/domain/events.js';
import { evolve, type FleetState } from '../../src/lora/domain/state.js';

/** The log's own time of a position. */
export function timeOf(position: number): string {
  return `2026-11-24T02:14:07.${String(position).padStart(6, '0')}Z`;
}

/** Events in their order, as the functions of the database tell them. */
export class LogStory {
  private constructor(
    readonly logId: string,
    readonly rows: readonly LogRow[],
    private readonly formerLogIds: readonly string[] = [],
  ) {}

  static of(logId: string): LogStory {
    return new LogStory(logId, []);
  }

  get position(): number {
    return this.rows.length;
  }

  get leaf(): string | null {
    return this.rows.at(-1)?.leaf ?? null;
  }

  /** The story with another event of a fleet; by default its reason is its position. */
  tell(
    fleet: string,
    event: LoraEvent,
    more: { actor?: string; reason?: string; state?: object } = {},
  ): LogStory {
    const position = this.position + 1;
    const { actor = 'token:ana', reason = `step ${position}`, state } = more;
    const body = { ...event, fleet, reason, actor };
    const row: LogRow = {
      position,
      recorded_at: timeOf(position),
      leaf: sha256(JSON.stringify([this.leaf, position, body])).toString('hex'),
      type: event.type,
      fleet,
      from_version: event.from_version,
      to_version: event.to_version,
      enabled: event.enabled,
      reason,
      actor,
      state: { ...evolve(this.stateOf(fleet), body), ...state },
    };
    return new LogStory(this.logId, [...this.rows, row], this.formerLogIds);
  }

  /** The story as a backup from an earlier time has it. */
  until(position: number): LogStory {
    return new LogStory(this.logId, this.rows.slice(0, position), this.formerLogIds);
  }

  /** The same story under the name that an operator gave it. */
  renamed(logId: string): LogStory {
    return new LogStory(logId, this.rows, [...this.formerLogIds, this.logId]);
  }

  stateOf(fleet: string): FleetState | null {
    return this.rows.findLast((row) => row.fleet === fleet)?.state ?? null;
  }

  snapshot(): LogSnapshot {
    const { logId: log_id, position, leaf } = this;
    const newest = new Map(this.rows.map((row) => [row.fleet, row]));
    const states = [...newest.values()].map(({ fleet, position: generation, recorded_at, state }) => ({
      fleet,
      generation,
      recorded_at,
      state,
    }));
    return { log_id, former_log_ids: this.formerLogIds, position, leaf, states };
  }

  /** @param limit of rows at a time */
  since(asked: number, limit = 1000): LogSince {
    const { logId: log_id, position } = this;
    const leaf = this.rows[asked - 1]?.leaf ?? null;
    return { log_id, position, leaf, rows: this.rows.slice(asked, asked + limit) };
  }
}
