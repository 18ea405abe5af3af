import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';

import { ApiProblems } from '../http/openapi.js';
import { StrictQuery } from '../http/params.js';
import { CheckpointBody, CheckpointQuery, CheckpointsBody, CheckpointsQuery, KeyBody } from './audit.dto.js';
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

  @Get('key')
  @ApiOperation({ summary: 'The key by which checkpoints are checked' })
  @ApiOkResponse({ type: KeyBody })
  @ApiProblems(404, 503)
  key() {
    return this.evidence.key();
  }
}
