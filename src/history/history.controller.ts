import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';

import { ApiProblems } from '../http/openapi.js';
import { StrictQuery } from '../http/params.js';
import { HistoryPageBody, HistoryQuery } from './history.dto.js';
import { HistoryService } from './history.service.js';

@ApiTags('history')
@Controller('lora/history')
export class HistoryController {
  constructor(private readonly history: HistoryService) {}

  @Get()
  @ApiOperation({ summary: 'Who did what, when and why: the log, newest first' })
  @ApiQuery({ type: HistoryQuery })
  @ApiOkResponse({ type: HistoryPageBody })
  @ApiProblems(400, 503)
  page(@StrictQuery(HistoryQuery) query: HistoryQuery) {
    return this.history.page(query);
  }
}
