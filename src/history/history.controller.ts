import { Controller, Get, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiParam, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';

import { type Caller, FromCaller } from '../http/caller.js';
import { ApiProblems } from '../http/openapi.js';
import { StrictPath, StrictQuery } from '../http/params.js';
import { NoQuery, PositionPath } from '../http/validation.js';
import {
  ExportQuery,
  HistoryEvent,
  HistoryPageBody,
  HistoryQuery,
  SummaryBody,
  SummaryQuery,
} from './history.dto.js';
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
  page(@StrictQuery(HistoryQuery) query: HistoryQuery, @FromCaller() { identity }: Caller) {
    return this.history.page(identity, query);
  }

  @Get('summary')
  @ApiOperation({
    summary: 'A part of the log, counted: events, time spent disabled, and every kill, newest first',
  })
  @ApiQuery({ type: SummaryQuery })
  @ApiOkResponse({ type: SummaryBody })
  @ApiProblems(400, 503)
  summary(@StrictQuery(SummaryQuery) query: SummaryQuery, @FromCaller() { identity }: Caller) {
    return this.history.summary(identity, query);
  }

  @Get('export')
  @ApiOperation({
    summary: 'A part of the log as a file',
    description:
      'NDJSON has every byte that a verification needs, and ends with a line of counts: a file without it has been ' +
      'cut. CSV is safe to open in a spreadsheet.',
  })
  @ApiQuery({ type: ExportQuery })
  @ApiOkResponse({
    content: {
      'application/x-ndjson': { schema: { type: 'string' } },
      'text/csv': { schema: { type: 'string' } },
    },
  })
  @ApiProblems(400, 503)
  export(
    @StrictQuery(ExportQuery) query: ExportQuery,
    @FromCaller() { identity }: Caller,
    @Res() response: Response,
  ) {
    return this.history.export(identity, query, response);
  }

  @Get(':position')
  @ApiOperation({ summary: 'One event' })
  @ApiParam({ name: 'position', schema: { type: 'integer', minimum: 1 } })
  @ApiOkResponse({ type: HistoryEvent })
  @ApiProblems(400, 404, 503)
  one(
    @StrictQuery(NoQuery) _query: NoQuery,
    @StrictPath(PositionPath) { position }: PositionPath,
    @FromCaller() { identity }: Caller,
  ) {
    return this.history.one(identity, Number(position));
  }
}
