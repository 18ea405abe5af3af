import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';

import { ApiProblems } from '../http/openapi.js';
import { StrictQuery } from '../http/params.js';
import { ConvergenceBody, ConvergenceQuery } from './convergence.dto.js';
import { ConvergenceService } from './convergence.service.js';

@ApiTags('engines')
@Controller('lora/convergence')
export class ConvergenceController {
  constructor(private readonly convergence: ConvergenceService) {}

  @Get()
  @ApiOperation({ summary: 'Whether a state has arrived on all engines of its fleet, or where it has not' })
  @ApiQuery({ type: ConvergenceQuery })
  @ApiOkResponse({ type: ConvergenceBody })
  @ApiProblems(400, 404, 503)
  of(@StrictQuery(ConvergenceQuery) { fleet, generation, counted }: ConvergenceQuery) {
    return this.convergence.of(fleet, counted, generation === undefined ? undefined : Number(generation));
  }
}
