import { Controller, Get, Put } from '@nestjs/common';
import {
  ApiBody,
  ApiCreatedResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiQuery,
  ApiTags,
} from '@nestjs/swagger';

import { type Caller, FromCaller } from '../http/caller.js';
import { JsonBody, StrictPath, StrictQuery } from '../http/params.js';
import { NoQuery } from '../http/validation.js';
import { FLEET_PATTERN } from './domain/names.js';
import { CommandAnswerBody, FleetPageBody, FleetPath, FleetsQuery, InitializeFleetBody } from './lora.dto.js';
import { ApiCommandHeaders, ApiProblems } from '../http/openapi.js';
import { initializeCommand } from './lora.requests.js';
import { LoraService } from './lora.service.js';
import { StatusService } from './status.service.js';

@ApiTags('fleets')
@Controller('fleets')
export class FleetsController {
  constructor(
    private readonly lora: LoraService,
    private readonly states: StatusService,
  ) {}

  @Get()
  @ApiOperation({ summary: 'The states of all fleets, by name' })
  @ApiQuery({ type: FleetsQuery })
  @ApiOkResponse({ type: FleetPageBody })
  @ApiProblems(400, 503)
  list(@StrictQuery(FleetsQuery) { at, cursor, limit }: FleetsQuery, @FromCaller() { identity }: Caller) {
    const [after, size] = [cursor ?? '', Number(limit ?? 100)];
    if (at !== undefined) return this.states.pageAt(identity, at, after, size);
    return this.states.page(identity, after, size);
  }

  @Put(':fleet')
  @ApiOperation({ summary: 'Make a fleet; a repeat changes nothing' })
  @ApiParam({ name: 'fleet', schema: { type: 'string', pattern: FLEET_PATTERN.source } })
  @ApiCommandHeaders()
  @ApiBody({ type: InitializeFleetBody, required: false })
  @ApiCreatedResponse({ type: CommandAnswerBody })
  @ApiOkResponse({ type: CommandAnswerBody })
  @ApiProblems(400, 403, 412, 413, 415, 422, 503)
  initialize(
    @StrictPath(FleetPath) { fleet }: FleetPath,
    @StrictQuery(NoQuery) _query: NoQuery,
    @JsonBody(InitializeFleetBody) body: InitializeFleetBody,
    @FromCaller() caller: Caller,
  ) {
    return this.lora.initialize(initializeCommand(fleet, body), caller);
  }
}
