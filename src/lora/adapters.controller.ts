import { Controller, Post } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';

import { type Caller, FromCaller } from '../http/caller.js';
import { JsonBody, StrictPath, StrictQuery } from '../http/params.js';
import { FleetQuery } from '../http/validation.js';
import { ADAPTER_VERSION_PATTERN } from './domain/names.js';
import { CommandBody, DeployAnswerBody, VersionPath } from './lora.dto.js';
import { ApiCommand, ApiProblems } from '../http/openapi.js';
import { type Confirmation, ConfirmedOnArrival } from './confirmation.js';
import { deployCommand } from './lora.requests.js';
import { LoraService } from './lora.service.js';

/** The address that clients of the replaced service deploy by. */
@ApiTags('lora')
@Controller('adapters')
export class AdaptersController {
  constructor(private readonly lora: LoraService) {}

  @Post(':version/deploy')
  @ApiOperation({ summary: 'Make a version active; the same as POST /lora/deploy' })
  @ApiParam({ name: 'version', schema: { type: 'string', pattern: ADAPTER_VERSION_PATTERN.source } })
  @ApiCommand()
  @ApiBody({ type: CommandBody, required: false })
  @ApiOkResponse({ type: DeployAnswerBody })
  @ApiProblems(400, 403, 404, 409, 412, 413, 415, 422, 503)
  deploy(
    @StrictPath(VersionPath) { version }: VersionPath,
    @StrictQuery(FleetQuery) { fleet }: FleetQuery,
    @JsonBody(CommandBody) body: CommandBody,
    @FromCaller() caller: Caller,
    @ConfirmedOnArrival() confirmation: Confirmation,
  ) {
    return this.lora.deploy(deployCommand(fleet, version, body), caller, confirmation);
  }
}
