import { applyDecorators } from '@nestjs/common';
import {
  ApiHeader,
  ApiProperty,
  ApiPropertyOptional,
  ApiQuery,
  ApiResponse,
  getSchemaPath,
} from '@nestjs/swagger';

import type { Scoped } from './identity.js';
import { PROBLEMS } from './problem.js';

class FieldErrorBody {
  @ApiProperty({ type: String }) field!: string;
  @ApiProperty({ type: String }) message!: string;
}

/** RFC 9457. */
export class ProblemBody {
  @ApiProperty({ type: String, format: 'uri' }) type!: string;
  @ApiProperty({ type: String }) title!: string;
  @ApiProperty({ type: Number }) status!: number;
  @ApiProperty({ type: String }) detail!: string;
  @ApiProperty({ type: String }) instance!: string;
  @ApiProperty({ enum: Object.keys(PROBLEMS) }) code!: string;
  @ApiPropertyOptional({ type: [FieldErrorBody] }) errors?: FieldErrorBody[];
  @ApiPropertyOptional({ type: String, description: 'How the fleet stands after a refusal.' })
  notice?: string;
  @ApiPropertyOptional({ enum: ['none', 'unknown'], description: 'Whether a command may have taken effect.' })
  outcome?: string;
  @ApiPropertyOptional({
    type: String,
    description: 'Sent again with this key, an unknown outcome is settled.',
  })
  idempotency_key?: string;
}

/** An answer over all fleets. */
export class ScopedBody implements Scoped {
  @ApiPropertyOptional({
    enum: ['partial'],
    description: 'The caller may not see all fleets: these are those that it may.',
  })
  scope?: 'partial';
}

/** The refusals that a route can answer with, beside those of who may not call it. */
export function ApiProblems(...statuses: readonly number[]): MethodDecorator & ClassDecorator {
  return applyDecorators(
    ...[...new Set([401, 403, 429, ...statuses])].map((status) =>
      ApiResponse({
        status,
        description: Object.entries(PROBLEMS)
          .filter(([, [of]]) => of === status)
          .map(([code, [, title]]) => `\`${code}\`: ${title}`)
          .join('; '),
        content: { 'application/problem+json': { schema: { $ref: getSchemaPath(ProblemBody) } } },
      }),
    ),
  );
}

/** What every command of a fleet takes beside its body. */
export function ApiCommand(fleet = 'A fleet.'): MethodDecorator & ClassDecorator {
  const schema = { type: 'string', default: 'default' } as const;
  return applyDecorators(
    ApiQuery({ name: 'fleet', required: false, description: fleet, schema }),
    ApiCommandHeaders(),
  );
}

export function ApiCommandHeaders(): MethodDecorator & ClassDecorator {
  return applyDecorators(
    ApiHeader({
      name: 'Idempotency-Key',
      required: false,
      description: 'A repeat with the same key gets the first answer again.',
    }),
    ApiHeader({
      name: 'If-Match',
      required: false,
      description: '412 unless it names the current generation.',
    }),
  );
}
