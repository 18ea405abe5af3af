import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, Matches } from 'class-validator';

import { FleetQuery, Optional, POSITION } from '../http/validation.js';
import { type Convergence, COUNTED, type Counted, LIST_MAX } from './convergence.js';

export class ConvergenceQuery extends FleetQuery {
  @Optional()
  @Matches(POSITION, { message: 'must be a generation' })
  @ApiPropertyOptional({ type: Number, description: 'Absent: the newest of the fleet.' })
  generation?: string;

  @Optional()
  @IsIn(COUNTED, { message: `must be ${COUNTED.join(' or ')}` })
  @ApiPropertyOptional({
    enum: COUNTED,
    default: 'today',
    description:
      'Which engines: those that stand registered, or those that did when the generation was committed.',
  })
  counted: Counted = 'today';
}

const ids = (description: string) =>
  ApiProperty({ type: [String], maxItems: LIST_MAX, description: `${description} The first ${LIST_MAX}.` });

export class ConvergenceCountsBody {
  @ApiProperty({ type: Number }) pending!: number;
  @ApiProperty({ type: Number }) lost!: number;
  @ApiProperty({ type: Number }) advisory!: number;
  @ApiProperty({ type: Number }) unreachable!: number;
  @ApiProperty({ type: Number }) unsupported!: number;
}

/** Whether a state has arrived on all engines of its fleet, or where it has not. */
export class ConvergenceBody implements Convergence {
  @ApiProperty({ type: String }) fleet!: string;
  @ApiProperty({ type: Number }) generation!: number;
  @ApiProperty({ type: String, format: 'uuid' }) log_id!: string;
  @ApiProperty({
    type: Boolean,
    nullable: true,
    description:
      'True when every engine has been seen to serve what the state says. Null where that cannot be told: no engine ' +
      'is registered, or presence was lost a moment ago.',
  })
  converged!: boolean | null;
  @ApiProperty({ type: Number, description: 'Engines counted.' }) engines!: number;
  @ApiProperty({ type: Number, description: 'Engines seen to match.' }) acknowledged!: number;
  @ids('Heard of, and not there yet.') pending!: string[];
  @ids('Not heard of for ENGINE_TTL_SECONDS.') lost!: string[];
  @ids('The state can be got round there.') advisory!: string[];
  @ids('The agent reports, its engine does not answer.') unreachable!: string[];
  @ids('The engine cannot do it, as it was started.') unsupported!: string[];
  @ApiProperty({ type: ConvergenceCountsBody, description: 'Lengths of the lists before they were cut.' })
  counts!: ConvergenceCountsBody;
  @ApiProperty({
    type: String,
    format: 'date-time',
    nullable: true,
    description: 'When the last one arrived.',
  })
  converged_at!: string | null;
  @ApiPropertyOptional({ type: Number, description: 'The generation that has overtaken this one.' })
  superseded_by?: number;
}
