import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiParam, ApiQuery, ApiTags } from '@nestjs/swagger';

import { ApiProblems } from '../http/openapi.js';
import { StrictPath, StrictQuery } from '../http/params.js';
import { NoQuery, PositionPath } from '../http/validation.js';
import {
  CheckpointBody,
  CheckpointQuery,
  CheckpointsBody,
  CheckpointsQuery,
  ConsistencyBody,
  ConsistencyQuery,
  KeyBody,
  ProofBody,
} from './audit.dto.js';
import { Evidence } from './evidence.service.js';

@ApiTags('audit')
@Controller('audit')
export class AuditController {
  constructor(private readonly evidence: Evidence) {}

  @Get('checkpoint')
  @ApiOperation({ summary: 'The newest signed statement of what the log is' })
  @ApiQuery({ type: CheckpointQuery })
  @ApiOkResponse({ type: CheckpointBody })
  @ApiProblems(400, 404, 409, 503)
  checkpoint(@StrictQuery(CheckpointQuery) { fresh }: CheckpointQuery) {
    return this.evidence.checkpoint(fresh === 'true');
  }

  @Get('checkpoints')
  @ApiOperation({ summary: 'Every checkpoint, newest first' })
  @ApiQuery({ type: CheckpointsQuery })
  @ApiOkResponse({ type: CheckpointsBody })
  @ApiProblems(400, 404, 503)
  checkpoints(@StrictQuery(CheckpointsQuery) { cursor, limit }: CheckpointsQuery) {
    return this.evidence.checkpoints(cursor, Number(limit ?? 100));
  }

  @Get('proof/:position')
  @ApiOperation({
    summary: 'That an event is in the log that a checkpoint signs',
    description: 'A checkpoint is taken first where none covers the event yet.',
  })
  @ApiParam({ name: 'position', schema: { type: 'integer', minimum: 1 } })
  @ApiOkResponse({ type: ProofBody })
  @ApiProblems(400, 404, 409, 503)
  proof(@StrictQuery(NoQuery) _query: NoQuery, @StrictPath(PositionPath) { position }: PositionPath) {
    return this.evidence.proof(Number(position));
  }

  @Get('consistency')
  @ApiOperation({ summary: 'That the log of one checkpoint is the beginning of the log of another' })
  @ApiQuery({ type: ConsistencyQuery })
  @ApiOkResponse({ type: ConsistencyBody })
  @ApiProblems(400, 404, 409, 503)
  consistency(@StrictQuery(ConsistencyQuery) { from, to }: ConsistencyQuery) {
    return this.evidence.consistency(Number(from), to === undefined ? undefined : Number(to));
  }

  @Get('key')
  @ApiOperation({ summary: 'The key by which checkpoints are checked' })
  @ApiOkResponse({ type: KeyBody })
  @ApiProblems(404, 503)
  key() {
    return this.evidence.key();
  }
}
