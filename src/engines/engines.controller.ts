import { Controller, Delete, Get, HttpCode, Put } from '@nestjs/common';
import {
  ApiBody,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiQuery,
  ApiTags,
} from '@nestjs/swagger';

import { type Caller, FromCaller } from '../http/caller.js';
import { ApiProblems } from '../http/openapi.js';
import { JsonBody, StrictPath, StrictQuery } from '../http/params.js';
import { FleetQuery, NoQuery } from '../http/validation.js';
import {
  EngineBody,
  EnginePageBody,
  EnginePath,
  EnginesQuery,
  RemovalQuery,
  ReportBody,
  ReportTakenBody,
} from './engines.dto.js';
import { EnginesService } from './engines.service.js';

@ApiTags('engines')
@Controller('engines')
export class EnginesController {
  constructor(private readonly engines: EnginesService) {}

  @Get()
  @ApiOperation({ summary: 'The engines that stand registered, by id' })
  @ApiQuery({ type: EnginesQuery })
  @ApiOkResponse({ type: EnginePageBody })
  @ApiProblems(400, 503)
  page(
    @StrictQuery(EnginesQuery) { fleet, cursor, limit }: EnginesQuery,
    @FromCaller() { identity }: Caller,
  ) {
    return this.engines.page(identity, fleet, cursor ?? '', Number(limit ?? 100));
  }

  @Get(':id')
  @ApiOperation({ summary: 'One engine' })
  @ApiParam({ name: 'id', schema: { type: 'string' } })
  @ApiOkResponse({ type: EngineBody })
  @ApiProblems(400, 404, 503)
  one(
    @StrictQuery(NoQuery) _query: NoQuery,
    @StrictPath(EnginePath) { id }: EnginePath,
    @FromCaller() { identity }: Caller,
  ) {
    return this.engines.one(identity, id);
  }

  @Put(':id')
  @ApiOperation({
    summary: 'Report what an engine serves; the first report registers it',
    description: 'Sent by the agent beside the engine every few seconds, and at once after a change.',
  })
  @ApiParam({ name: 'id', schema: { type: 'string' } })
  @ApiQuery({ type: FleetQuery })
  @ApiBody({ type: ReportBody })
  @ApiOkResponse({ type: ReportTakenBody })
  @ApiProblems(400, 404, 409, 413, 415, 503)
  report(
    @StrictPath(EnginePath) { id }: EnginePath,
    @StrictQuery(FleetQuery) { fleet }: FleetQuery,
    @JsonBody(ReportBody) body: ReportBody,
    @FromCaller() caller: Caller,
  ) {
    return this.engines.report(caller, id, fleet, body);
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({
    summary: 'End the registration of an engine',
    description:
      'By its agent when it stops in good order, or by an operator when the engine is gone for good.',
  })
  @ApiParam({ name: 'id', schema: { type: 'string' } })
  @ApiQuery({ type: RemovalQuery })
  @ApiNoContentResponse()
  @ApiProblems(400, 404, 503)
  remove(
    @StrictPath(EnginePath) { id }: EnginePath,
    @StrictQuery(RemovalQuery) { instance }: RemovalQuery,
    @FromCaller() caller: Caller,
  ) {
    return this.engines.remove(caller, id, instance);
  }
}
