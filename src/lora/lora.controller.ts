import { Controller, Get, Post } from '@nestjs/common';
import {
  ApiBody,
  ApiExtraModels,
  ApiHeader,
  ApiOkResponse,
  ApiOperation,
  ApiQuery,
  ApiResponse,
  ApiTags,
  getSchemaPath,
} from '@nestjs/swagger';

import { type Caller, FromCaller } from '../http/caller.js';
import { JsonBody, type Lenient, LenientJsonBody, StrictQuery } from '../http/params.js';
import { ApiCommand, ApiProblems } from '../http/openapi.js';
import { FleetQuery } from '../http/validation.js';
import { type Confirmation, ConfirmedOnArrival } from './confirmation.js';
import { FromKillTarget, type KillTarget } from './kill-target.js';
import {
  CommandAnswerBody,
  CommandBody,
  DeployAnswerBody,
  DeployBody,
  DisableBody,
  FleetsAnswerBody,
  StatusBody,
  StatusQuery,
  VersionedBody,
} from './lora.dto.js';
import { deployCommand, enableCommand, rollBackCommand } from './lora.requests.js';
import { preferredWait } from './prefer-wait.js';
import { LoraService } from './lora.service.js';
import { StatusService } from './status.service.js';

@ApiTags('lora')
@Controller('lora')
export class LoraController {
  constructor(
    private readonly lora: LoraService,
    private readonly states: StatusService,
  ) {}

  @Get('status')
  @ApiOperation({ summary: 'The state of a fleet' })
  @ApiQuery({ type: StatusQuery })
  @ApiHeader({ name: 'If-None-Match', required: false, description: '304 while it names the current state.' })
  @ApiHeader({
    name: 'Prefer',
    required: false,
    description: '`wait=N`: wait up to N s (60) for another state.',
  })
  @ApiOkResponse({ type: StatusBody })
  @ApiResponse({ status: 304, description: 'The state is still that of If-None-Match.' })
  @ApiProblems(400, 404, 503)
  status(@StrictQuery(StatusQuery) { fleet, consistency, at }: StatusQuery, @FromCaller() caller: Caller) {
    if (at !== undefined) return this.states.statusAt(fleet, at);
    return this.states.status(fleet, consistency, caller.headers['if-none-match'], preferredWait(caller));
  }

  @Post('disable')
  @ApiOperation({
    summary: 'Kill-switch: turn LoRA off',
    description:
      'Never refused for its form: what cannot be read is set aside and named in `notice`. `fleet=*` is all fleets, in ' +
      'one commit; the answer then has the states of all, without their histories.',
  })
  @ApiCommand('A fleet, or `*`: all fleets.')
  @ApiBody({ type: CommandBody, required: false })
  @ApiExtraModels(CommandAnswerBody, FleetsAnswerBody)
  @ApiOkResponse({
    schema: {
      oneOf: [{ $ref: getSchemaPath(CommandAnswerBody) }, { $ref: getSchemaPath(FleetsAnswerBody) }],
    },
  })
  @ApiProblems(400, 404, 412, 503)
  disable(
    @FromKillTarget() target: KillTarget,
    @LenientJsonBody(DisableBody) body: Lenient<DisableBody>,
    @FromCaller() caller: Caller,
  ) {
    return this.lora.disable(target, body, caller);
  }

  @Post('enable')
  @ApiOperation({ summary: 'Turn LoRA on again, with a version or with the one to resume' })
  @ApiCommand()
  @ApiBody({ type: VersionedBody, required: false })
  @ApiOkResponse({ type: CommandAnswerBody })
  @ApiProblems(400, 403, 404, 409, 412, 413, 415, 422, 503)
  enable(
    @StrictQuery(FleetQuery) { fleet }: FleetQuery,
    @JsonBody(VersionedBody) body: VersionedBody,
    @FromCaller() caller: Caller,
    @ConfirmedOnArrival() confirmation: Confirmation,
  ) {
    return this.lora.handle(enableCommand(fleet, body), caller, confirmation);
  }

  @Post('rollback')
  @ApiOperation({ summary: 'Go back to a version, or one version back, or to the base model' })
  @ApiCommand()
  @ApiBody({ type: VersionedBody, required: false })
  @ApiOkResponse({ type: CommandAnswerBody })
  @ApiProblems(400, 403, 404, 409, 412, 413, 415, 422, 503)
  rollback(
    @StrictQuery(FleetQuery) { fleet }: FleetQuery,
    @JsonBody(VersionedBody) body: VersionedBody,
    @FromCaller() caller: Caller,
    @ConfirmedOnArrival() confirmation: Confirmation,
  ) {
    return this.lora.handle(rollBackCommand(fleet, body), caller, confirmation);
  }

  @Post('deploy')
  @ApiOperation({ summary: 'Make a version active; refused while the kill-switch is active' })
  @ApiCommand()
  @ApiBody({ type: DeployBody })
  @ApiOkResponse({ type: DeployAnswerBody })
  @ApiProblems(400, 403, 404, 409, 412, 413, 415, 422, 503)
  deploy(
    @StrictQuery(FleetQuery) { fleet }: FleetQuery,
    @JsonBody(DeployBody) body: DeployBody,
    @FromCaller() caller: Caller,
    @ConfirmedOnArrival() confirmation: Confirmation,
  ) {
    return this.lora.deploy(deployCommand(fleet, body.adapter_version, body), caller, confirmation);
  }
}
