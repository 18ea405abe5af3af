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
import { FLEET_PATTERN } from '../lora/domain/names.js';
import type { RecordedRefusal } from './access.store.js';
import { REFUSAL_CODES } from './refusals.js';

export class RefusalsQuery {
  @Optional()
  @FleetName()
  @ApiPropertyOptional({ type: String, pattern: FLEET_PATTERN.source, description: 'Meant by the call.' })
  fleet?: string;

  @OptionalText(500, 'Who; `anonymous`: not known.')
  actor?: string;

  @OptionalText(100, 'From where.')
  remote_address?: string;

  @Optional()
  @IsIn(REFUSAL_CODES, { message: `must be one of ${REFUSAL_CODES.join(', ')}` })
  @ApiPropertyOptional({ enum: REFUSAL_CODES })
  code?: string;

  @OptionalTime('Refused at or after this time.')
  since?: string;

  @OptionalTime('Refused before this time.')
  until?: string;

  @PageSize()
  limit?: string;

  @NumberCursor()
  cursor?: string;
}

class RefusalBody implements RecordedRefusal {
  @ApiProperty({ type: String }) id!: string;
  @ApiProperty({ type: String, format: 'date-time', description: "By the database's clock." })
  refused_at!: string;
  @ApiProperty({ type: String, description: 'Which refused it.' }) replica!: string;
  @ApiProperty({ type: String, description: '`anonymous`: not known.' }) actor!: string;
  @ApiProperty({ type: String }) auth!: string;
  @ApiProperty({ type: String, nullable: true }) remote_address!: string | null;
  @ApiProperty({ type: String, example: 'POST /lora/enable' }) call!: string;
  @ApiProperty({ type: String, nullable: true, description: 'Meant by the call; `*`: all.' })
  fleet!: string | null;
  @ApiProperty({ type: Number }) status!: number;
  @ApiProperty({ enum: REFUSAL_CODES }) code!: string;
  @ApiProperty({ type: String, nullable: true }) request_id!: string | null;
  @ApiProperty({ type: Number, description: 'Refusals of this caller that were not kept before this one.' })
  left_out!: number;
}

export class RefusalsBody extends ScopedBody {
  @ApiProperty({ type: [RefusalBody], description: 'Newest first.' }) refusals!: RefusalBody[];
  @ApiProperty({ type: String, nullable: true }) next_cursor!: string | null;
}
