import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn } from 'class-validator';

import { NumberCursor, Optional, PageSize } from '../http/validation.js';
import type { KeptCheckpoint } from './audit.store.js';

export class CheckpointQuery {
  @Optional()
  @IsIn(['true', 'false'], { message: 'must be true or false' })
  @ApiPropertyOptional({
    type: Boolean,
    default: false,
    description: 'Check the log, and sign it where there is something new, before answering.',
  })
  fresh?: string;
}

export class CheckpointsQuery {
  @PageSize()
  limit?: string;

  @NumberCursor()
  cursor?: string;
}

const Hash = (description: string): PropertyDecorator =>
  ApiProperty({ type: String, description: `${description}; SHA-256, hexadecimal.` });

export class CheckpointBody implements Omit<KeptCheckpoint, 'id'> {
  @ApiProperty({ type: String, format: 'uuid' }) log_id!: string;
  @ApiProperty({ type: Number, description: 'How many events the log had.' }) size!: number;
  @Hash('Root of the tree over the leaves of the events 1 to `size`') root!: string;
  @ApiProperty({ type: String, description: 'The verifier key of who signed it.' }) key!: string;
  @ApiProperty({ type: String, description: 'The signed note: keep this.' }) note!: string;
  @ApiProperty({ type: String, format: 'date-time', description: "By the database's clock." })
  taken_at!: string;
}

export class CheckpointsBody {
  @ApiProperty({ type: [CheckpointBody], description: 'Of all logs, newest first.' })
  checkpoints!: CheckpointBody[];

  @ApiProperty({ type: String, nullable: true }) next_cursor!: string | null;
}

export class KeyBody {
  @ApiProperty({ type: String, description: 'The verifier key of this replica.' }) key!: string;
  @ApiProperty({ type: [String], description: 'Other keys that have signed, newest first.' })
  earlier!: string[];
}
