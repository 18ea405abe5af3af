import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, Matches } from 'class-validator';

import { NumberCursor, Optional, PageSize, POSITION } from '../http/validation.js';
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

export class ConsistencyQuery {
  @Matches(POSITION, { message: 'must be the number of events of a checkpoint' })
  @ApiProperty({ type: Number, minimum: 1, description: 'The number of events of a checkpoint.' })
  from!: string;

  @Optional()
  @Matches(POSITION, { message: 'must be the number of events of a checkpoint' })
  @ApiPropertyOptional({
    type: Number,
    minimum: 1,
    description: 'That of a later one; the newest when absent.',
  })
  to?: string;
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

const hashes = (description: string): PropertyDecorator =>
  ApiProperty({ type: [String], description: `${description}; SHA-256, hexadecimal.` });

export class ProofBody {
  @ApiProperty({ type: String, format: 'uuid' }) log_id!: string;
  @ApiProperty({ type: Number }) position!: number;
  @Hash('Of the event: `leaf_hash`') leaf!: string;
  @ApiProperty({ type: Number, description: 'Of the tree: the number of its events.' }) size!: number;
  @Hash('Of the tree') root!: string;
  @hashes('The inclusion path of RFC 9162, 2.1.3, for the leaf at index `position` - 1') path!: string[];
  @ApiProperty({ type: String, description: 'The signed note of that size and root.' }) checkpoint!: string;
}

export class TreeBody {
  @ApiProperty({ type: Number }) size!: number;
  @Hash('Root over the first `size` events') root!: string;
}

export class ConsistencyBody {
  @ApiProperty({ type: String, format: 'uuid' }) log_id!: string;
  @ApiProperty({ type: TreeBody }) from!: TreeBody;
  @ApiProperty({ type: TreeBody }) to!: TreeBody;
  @hashes('The consistency proof of RFC 9162, 2.1.4') proof!: string[];
}

export class KeyBody {
  @ApiProperty({ type: String, description: 'The verifier key of this replica.' }) key!: string;
  @ApiProperty({ type: [String], description: 'Other keys that have signed, newest first.' })
  earlier!: string[];
}
