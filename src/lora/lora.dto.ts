import { ApiHideProperty, ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Allow, IsBoolean, IsIn } from 'class-validator';

import type { Receipt } from '../audit/core/receipt.js';
import { ConvergenceBody } from '../engines/convergence.dto.js';
import { ScopedBody } from '../http/openapi.js';
import {
  AdapterVersion,
  FleetName,
  FleetQuery,
  Optional,
  OptionalAdapterVersion,
  OptionalText,
  OptionalTime,
  PageSize,
} from '../http/validation.js';
import { FLEET_PATTERN, REASON_MAX, REFERENCE_MAX } from './domain/names.js';
import type { ActivationEntry, RollbackEntry } from './domain/histories.js';
import type { StateView } from './domain/view.js';

export class StatusQuery extends FleetQuery {
  @Optional()
  @IsIn(['default', 'strong', 'eventual'], { message: 'must be strong or eventual' })
  @ApiPropertyOptional({
    enum: ['strong', 'eventual'],
    description:
      'Absent: reflects every command acknowledged before the read began, or says `stale`. `strong`: 503 instead of ' +
      '`stale`. `eventual`: from memory.',
  })
  consistency: 'default' | 'strong' | 'eventual' = 'default';

  @OptionalTime('The state as of the last event recorded at or before this time, with `final`.')
  at?: string;
}

export class FleetPath {
  @FleetName()
  @ApiProperty({ type: String, pattern: FLEET_PATTERN.source })
  fleet!: string;
}

export class VersionPath {
  @AdapterVersion()
  version!: string;
}

export class FleetsQuery {
  @OptionalTime('The states as of the last event recorded at or before this time, with `final`.')
  at?: string;

  @PageSize()
  limit?: string;

  @Optional()
  @FleetName()
  @ApiPropertyOptional({ type: String, description: 'The `next_cursor` of the page before.' })
  cursor?: string;
}

/** What every command may say of itself. */
export class CommandBody {
  @OptionalText(REASON_MAX, 'Why; `manual_operation` (a deploy: `manual_deploy`) when absent.')
  reason?: string;

  @OptionalText(REFERENCE_MAX, 'A ticket or an alert.')
  reference?: string;
}

export class DisableBody extends CommandBody {
  /** Not the way to name a fleet, but when it is there it must not be another one than the query's. */
  @Allow()
  @ApiHideProperty()
  fleet?: unknown;
}

export class VersionedBody extends CommandBody {
  @OptionalAdapterVersion('The version to go to; absent: what the state resumes or rolls back to.')
  adapter_version?: string;
}

export class DeployBody extends CommandBody {
  @AdapterVersion()
  adapter_version!: string;
}

export class InitializeFleetBody extends CommandBody {
  @Optional()
  @IsBoolean({ message: 'must be true or false' })
  @ApiPropertyOptional({ type: Boolean, default: true })
  enabled?: boolean;

  @OptionalAdapterVersion('The version that is active from the start; absent: the base model.')
  adapter_version?: string;
}

const Version = (description: string): PropertyDecorator =>
  ApiProperty({ type: String, nullable: true, description });
const Time = (): PropertyDecorator => ApiProperty({ type: String, format: 'date-time' });

/** One entry of `rollback_history`. */
export class RollbackEntryBody implements RollbackEntry {
  @Time() timestamp!: string;
  @Version('The current version before; null is the base model.') from_version!: string | null;
  @Version('The current version after; null is the base model.') to_version!: string | null;
  @ApiProperty({ type: Boolean }) enabled!: boolean;
  @ApiProperty({ type: String }) reason!: string;
  @ApiProperty({ type: String }) actor!: string;
  @ApiProperty({ type: Number }) generation!: number;
}

/** One entry of `activation_history`. */
export class ActivationEntryBody extends RollbackEntryBody implements ActivationEntry {
  @ApiProperty({ enum: ['enabled', 'deployed'] }) operation!: 'enabled' | 'deployed';
}

/** A fleet's state without its histories. */
export class FleetStateBody implements StateView {
  @ApiProperty({ type: String }) fleet!: string;
  @ApiProperty({ type: Number, description: 'Position of the last event of the fleet.' }) generation!: number;
  @ApiProperty({ type: String, format: 'uuid', description: 'Generations compare only within one log_id.' })
  log_id!: string;
  @ApiProperty({ type: Boolean, description: 'False: the kill-switch is active.' }) enabled!: boolean;
  @Version('What engines must serve; null is the base model, always so while disabled.')
  active_adapter_version!: string | null;
  @Version('The last version that was active before the latest change.') previous_adapter_version!:
    string | null;
  @Version('While disabled: what an enable without a version brings back.') resume_adapter_version!:
    string | null;
  @Version('What a rollback without a version would choose now; null is the base model.')
  rollback_target!: string | null;
  @ApiProperty({ enum: ['initialized', 'disabled', 'enabled', 'rollback', 'deployed'] })
  last_operation!: string;
  @ApiProperty({ type: String }) last_reason!: string;
  @ApiProperty({ type: String }) last_actor!: string;
  @Time() updated_at!: string;
}

export class StatusBody extends FleetStateBody {
  @ApiPropertyOptional({
    type: [RollbackEntryBody],
    description: 'The newest 100, oldest first. A stale answer may lack it.',
  })
  rollback_history?: RollbackEntryBody[];
  @ApiPropertyOptional({
    type: [ActivationEntryBody],
    description: 'The newest 100 enables and deploys, oldest first. A stale answer may lack it.',
  })
  activation_history?: ActivationEntryBody[];
  @ApiPropertyOptional({
    type: Boolean,
    description: 'With `at`: whether the log holds a later event, so that this answer can never change.',
  })
  final?: boolean;
  @ApiPropertyOptional({
    enum: [true],
    description: 'The log could not be asked: this is what was last known.',
  })
  stale?: true;
  @ApiPropertyOptional({
    type: String,
    format: 'date-time',
    nullable: true,
    description: 'Of a stale answer.',
  })
  as_of?: string | null;
}

/** What proves later that the event was there: keep it where the log's operators cannot write. */
export class ReceiptBody implements Receipt {
  @ApiProperty({ type: Number }) position!: number;
  @ApiProperty({ type: String, pattern: '^[0-9a-f]{64}$', description: 'The hash of the event.' })
  leaf!: string;
  @ApiProperty({ type: String, format: 'uuid' }) log_id!: string;
}

export class CommandAnswerBody extends StatusBody {
  @ApiPropertyOptional({
    type: ReceiptBody,
    description:
      'Of the event; absent where nothing was appended. Also in the header `Lora-Receipt`, as `<log_id>/<position>/<leaf>`.',
  })
  receipt?: ReceiptBody;
  @ApiPropertyOptional({ type: String, description: 'What could surprise the reader.' }) notice?: string;
  @ApiPropertyOptional({
    type: ConvergenceBody,
    nullable: true,
    description:
      'With `Prefer: wait=N`: how far the command has come on the engines. Null when it cannot be read.',
  })
  convergence?: ConvergenceBody | null;
}

export class DeployAnswerBody extends CommandAnswerBody {
  @ApiProperty({ enum: ['deployed'] }) status!: 'deployed';
  @ApiProperty({ type: String }) version!: string;
  @Version('The version that was current before.') from_version!: string | null;
  @ApiProperty({ type: String }) message!: string;
}

export class FleetAnswerBody extends FleetStateBody {
  @ApiProperty({
    type: ReceiptBody,
    description: 'The header `Lora-Receipt` has those of all fleets, up to 16, with commas between.',
  })
  receipt!: ReceiptBody;
  @ApiPropertyOptional({ type: String }) notice?: string;
  @ApiPropertyOptional({ type: ConvergenceBody, nullable: true, description: 'With `Prefer: wait=N`.' })
  convergence?: ConvergenceBody | null;
}

export class FleetsAnswerBody extends ScopedBody {
  @ApiProperty({ type: [FleetAnswerBody] }) fleets!: FleetAnswerBody[];
  @ApiPropertyOptional({ type: String, description: 'Of a replay: which fleets have been made since.' })
  notice?: string;
}

export class FleetPageBody extends ScopedBody {
  @ApiPropertyOptional({ type: Boolean, description: 'With `at`: whether this answer can never change.' })
  final?: boolean;
  @ApiProperty({ type: [FleetStateBody] }) fleets!: FleetStateBody[];
  @ApiProperty({ type: String, nullable: true }) next_cursor!: string | null;
}
