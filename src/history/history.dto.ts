import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn } from 'class-validator';

import { ScopedBody } from '../http/openapi.js';
import {
  FleetName,
  NumberCursor,
  Optional,
  OptionalText,
  OptionalTime,
  PageSize,
} from '../http/validation.js';
import { EVENT_TYPES, type EventBody } from '../lora/domain/events.js';
import { EXPORT_FORMATS, type ExportFormat } from './export.js';
import type { Kill } from '../event-store/tallies.js';
import type { Summary } from './summary.js';
import { FLEET_PATTERN, REASON_MAX, REFERENCE_MAX } from '../lora/domain/names.js';

export class HistoryQuery {
  @Optional()
  @FleetName()
  @ApiPropertyOptional({
    type: String,
    pattern: FLEET_PATTERN.source,
    description: 'All fleets when absent.',
  })
  fleet?: string;

  @Optional()
  @IsIn(EVENT_TYPES, { message: `must be one of ${EVENT_TYPES.join(', ')}` })
  @ApiPropertyOptional({ enum: EVENT_TYPES })
  type?: EventBody['type'];

  @OptionalText(500, 'Who.')
  actor?: string;

  @OptionalText(128, 'The version that the command named.')
  adapter_version?: string;

  @OptionalText(REFERENCE_MAX, 'A ticket or an alert.')
  reference?: string;

  @OptionalTime('Recorded at or after this time.')
  since?: string;

  @OptionalTime('Recorded before this time.')
  until?: string;

  @OptionalText(REASON_MAX, 'A part of the reason, upper and lower case alike.')
  reason?: string;

  @PageSize()
  limit?: string;

  @NumberCursor()
  cursor?: string;
}

/** A part of the log. */
export class PartQuery {
  @Optional()
  @FleetName()
  @ApiPropertyOptional({
    type: String,
    pattern: FLEET_PATTERN.source,
    description: 'All fleets when absent.',
  })
  fleet?: string;

  @OptionalTime('Recorded at or after this time.')
  since?: string;

  @OptionalTime('Recorded before this time.')
  until?: string;
}

export class SummaryQuery extends PartQuery {
  @PageSize()
  limit?: string;

  @NumberCursor()
  cursor?: string;
}

export class ExportQuery extends PartQuery {
  @Optional()
  @IsIn(EXPORT_FORMATS, { message: `must be ${EXPORT_FORMATS.join(' or ')}` })
  @ApiPropertyOptional({ enum: EXPORT_FORMATS, default: 'ndjson' })
  format: ExportFormat = 'ndjson';
}

const Version = (): PropertyDecorator => ApiProperty({ type: String, nullable: true });

/** An event as it stands in the log; see docs/event-format.md. */
export class HistoryEvent {
  @ApiProperty({ type: Number }) position!: number;
  @ApiProperty({ type: String, format: 'date-time' }) recorded_at!: string;
  @ApiProperty({ type: Number }) schema_version!: number;
  @ApiProperty({ type: String, format: 'uuid' }) id!: string;
  @ApiProperty({ enum: EVENT_TYPES }) type!: string;
  @ApiProperty({ type: String }) fleet!: string;
  @Version() adapter_version!: string | null;
  @Version() from_version!: string | null;
  @Version() to_version!: string | null;
  @ApiProperty({ type: Boolean }) enabled!: boolean;
  @ApiProperty({ type: String }) reason!: string;
  @ApiProperty({ type: String, nullable: true }) reference!: string | null;
  @ApiProperty({ type: String }) actor!: string;
  @ApiProperty({ type: String }) auth!: string;
  @ApiProperty({ type: String, nullable: true }) source!: string | null;
  @ApiProperty({ type: String, nullable: true }) remote_address!: string | null;
  @ApiProperty({ type: String }) request_id!: string;
  @ApiProperty({ type: String }) idempotency_key!: string;
  @ApiProperty({ type: String, description: 'SHA-256, hexadecimal.' }) leaf_hash!: string;
  @ApiPropertyOptional({
    type: String,
    description:
      'How the issuer of its token called the actor; no part of the event. Absent where it is not known.',
  })
  actor_name?: string;
}

export class HistoryPageBody extends ScopedBody {
  @ApiProperty({ type: [HistoryEvent], description: 'Newest first; may be none although there are more.' })
  events!: HistoryEvent[];

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'Null at the end of the log only: a page that has read 3,000 events ends early.',
  })
  next_cursor!: string | null;
}

class KillBody implements Kill {
  @ApiProperty({ type: Number }) position!: number;
  @ApiProperty({ type: String, format: 'date-time' }) recorded_at!: string;
  @ApiProperty({ type: String }) fleet!: string;
  @ApiProperty({ type: String }) actor!: string;
  @ApiProperty({ type: String }) reason!: string;
  @ApiProperty({ type: String, nullable: true }) reference!: string | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) enabled_again_at!: string | null;
  @ApiProperty({ type: Number, nullable: true, description: 'Until it was enabled again.' })
  disabled_seconds!: number | null;
  @ApiProperty({
    type: Number,
    nullable: true,
    description:
      'Until the last engine registered then had let go; null where one has not, or there was none.',
  })
  acknowledged_seconds!: number | null;
}

const counts = (description: string) =>
  ApiProperty({ type: 'object', additionalProperties: { type: 'number' }, description });

export class SummaryBody extends ScopedBody implements Summary {
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) since!: string | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) until!: string | null;
  @ApiProperty({ type: String, nullable: true }) fleet!: string | null;
  @ApiProperty({ type: Number }) events!: number;
  @counts('Events of each type.') by_type!: Record<string, number>;
  @counts('Events of each fleet.') by_fleet!: Record<string, number>;
  @counts('Events of each actor.') by_actor!: Record<string, number>;
  @counts('Seconds that a fleet stood disabled; a fleet that did not is not named.')
  disabled_seconds!: Record<string, number>;
  @ApiProperty({ type: [KillBody], description: 'Events that turned `enabled` off, newest first.' })
  kills!: KillBody[];

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'Leads to older kills; null when there are none.',
  })
  next_cursor!: string | null;
}
