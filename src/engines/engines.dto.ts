import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean, IsIn, IsUUID, Matches, registerDecorator, ValidateIf } from 'class-validator';

import { ScopedBody } from '../http/openapi.js';
import { FleetName, Optional, PageSize, Text } from '../http/validation.js';
import { FLEET_PATTERN } from '../lora/domain/names.js';
import { REPORTED_STATES, type ReportedState } from './convergence.js';

const ENGINE_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;
const ENGINE_RULE = `must match ${ENGINE_PATTERN.source}`;

const ADAPTERS_MAX = 200;
const ADAPTER_NAME_MAX = 256;
const CAPABILITIES = ['runtime_load', 'kill_is_sticky', 'observes_path', 'drains'] as const;

/** What can be done to an engine; false is a weakness that an operator should know. */
export class CapabilitiesBody {
  @ApiProperty({ type: Boolean, description: 'Adapters can be loaded and unloaded while it runs.' })
  runtime_load!: boolean;
  @ApiProperty({ type: Boolean, description: 'No request brings an unloaded adapter back.' })
  kill_is_sticky!: boolean;
  @ApiProperty({ type: Boolean, description: 'It tells from where an adapter was loaded.' })
  observes_path!: boolean;
  @ApiProperty({ type: Boolean, description: 'Unloading lets requests under way end first.' })
  drains!: boolean;
}

export class EnginePath {
  @Matches(ENGINE_PATTERN, { message: ENGINE_RULE })
  id!: string;
}

export class EnginesQuery {
  @Optional()
  @FleetName()
  @ApiPropertyOptional({ type: String, pattern: FLEET_PATTERN.source, description: 'Absent: all fleets.' })
  fleet?: string;

  @PageSize()
  limit?: string;

  @Optional()
  @Matches(ENGINE_PATTERN, { message: ENGINE_RULE })
  @ApiPropertyOptional({ type: String, description: 'The `next_cursor` of the page before.' })
  cursor?: string;
}

export class RemovalQuery {
  @Optional()
  @IsUUID(undefined, { message: 'must be a UUID' })
  @ApiPropertyOptional({
    type: String,
    format: 'uuid',
    description:
      'The agent that stops: when another one reports under the same id, the engine stays registered.',
  })
  instance?: string;
}

/** Null stands for "not known", and must be said. */
function orNull(): PropertyDecorator {
  return ValidateIf((_, value) => value !== null);
}

/** Absent and null are the same here: not known. */
function ifKnown(): PropertyDecorator {
  return ValidateIf((_, value) => value !== undefined && value !== null);
}

function satisfies(message: string, validate: (value: unknown) => boolean): PropertyDecorator {
  return (target, property) => {
    registerDecorator({
      name: message,
      target: target.constructor,
      propertyName: String(property),
      options: { message },
      validator: { validate },
    });
  };
}

function knownText(max: number, description: string): PropertyDecorator {
  return applyDecorators(
    ifKnown(),
    Text(max),
    ApiPropertyOptional({ type: String, nullable: true, maxLength: max, description }),
  );
}

/** What an agent has seen on its engine. */
export class ReportBody {
  @orNull()
  @satisfies('must be a generation, or null', (value) => Number.isSafeInteger(value) && Number(value) > 0)
  @ApiProperty({
    type: Number,
    nullable: true,
    description: 'Of the state under which the engine was looked at.',
  })
  observed_generation!: number | null;

  @orNull()
  @IsUUID(undefined, { message: 'must be a UUID, or null' })
  @ApiProperty({ type: String, format: 'uuid', nullable: true, description: 'Of that state.' })
  log_id!: string | null;

  @satisfies(
    `must be a list of at most ${ADAPTERS_MAX} names of 1 to ${ADAPTER_NAME_MAX} characters`,
    (value) =>
      Array.isArray(value) &&
      value.length <= ADAPTERS_MAX &&
      value.every((each) => typeof each === 'string' && each !== '' && each.length <= ADAPTER_NAME_MAX),
  )
  @ApiProperty({ type: [String], description: 'The adapters that it serves, by version.' })
  observed_adapters!: string[];

  @IsIn(REPORTED_STATES, { message: `must be one of ${REPORTED_STATES.join(', ')}` })
  @ApiProperty({ enum: REPORTED_STATES })
  state!: ReportedState;

  @ifKnown()
  @IsUUID(undefined, { message: 'must be a UUID' })
  @ApiPropertyOptional({
    type: String,
    format: 'uuid',
    nullable: true,
    description:
      'Chosen at random by an agent when it starts: two that live at once under one id are a conflict.',
  })
  instance_id?: string | null;

  @Optional()
  @IsBoolean({ message: 'must be true or false' })
  @ApiPropertyOptional({ type: Boolean, description: 'The hand brake beside the engine is on.' })
  local_kill?: boolean;

  @ifKnown()
  @satisfies(`must hold ${CAPABILITIES.join(', ')}, each true or false`, isCapabilities)
  @ApiPropertyOptional({ type: CapabilitiesBody, nullable: true })
  capabilities?: CapabilitiesBody | null;

  @knownText(256, 'Name of the base model.')
  base_model?: string | null;

  @knownText(64, 'Version of the agent.')
  agent_version?: string | null;

  @knownText(1000, 'What went wrong last.')
  last_error?: string | null;
}

function isCapabilities(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const fields = Object.entries(value);
  return (
    fields.length === CAPABILITIES.length &&
    fields.every(
      ([name, each]) => (CAPABILITIES as readonly string[]).includes(name) && typeof each === 'boolean',
    )
  );
}

export class ReportTakenBody {
  @ApiProperty({ type: String }) id!: string;
  @ApiProperty({ type: String }) fleet!: string;
  @ApiProperty({
    type: Number,
    nullable: true,
    description: 'The newest generation that this replica knows.',
  })
  generation!: number | null;
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'That several agents report under this id, and which; null when it is one.',
  })
  conflict!: string | null;
}

export class EngineBody {
  @ApiProperty({ type: String }) id!: string;
  @ApiProperty({ type: String }) fleet!: string;
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'The actor that reported it first, to whom it belongs; null where nobody was asked.',
  })
  owner!: string | null;
  @ApiProperty({
    enum: [...REPORTED_STATES, 'lost'],
    description: '`lost`: not heard of for ENGINE_TTL_SECONDS.',
  })
  state!: ReportedState | 'lost';
  @ApiProperty({ type: Number, nullable: true }) observed_generation!: number | null;
  @ApiProperty({ type: String, format: 'uuid', nullable: true }) log_id!: string | null;
  @ApiProperty({ type: [String] }) observed_adapters!: string[];
  @ApiProperty({ type: Boolean }) local_kill!: boolean;
  @ApiProperty({ type: CapabilitiesBody, nullable: true }) capabilities!: CapabilitiesBody | null;
  @ApiProperty({ type: String, nullable: true }) base_model!: string | null;
  @ApiProperty({ type: String, nullable: true }) agent_version!: string | null;
  @ApiProperty({ type: String, nullable: true }) last_error!: string | null;
  @ApiProperty({ type: String, format: 'date-time' }) registered_at!: string;
  @ApiProperty({
    type: String,
    format: 'date-time',
    nullable: true,
    description: 'Null: presence was lost in a crash of the database, and it has not reported since.',
  })
  heard_at!: string | null;
}

export class EnginePageBody extends ScopedBody {
  @ApiProperty({ type: [EngineBody] }) engines!: EngineBody[];
  @ApiProperty({ type: String, nullable: true }) next_cursor!: string | null;
}
