import { Controller, Get, Res } from '@nestjs/common';
import { ApiHeader, ApiOkResponse, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';

import { type Caller, FromCaller } from '../http/caller.js';
import { ApiProblems } from '../http/openapi.js';
import { StrictQuery } from '../http/params.js';
import { FleetQuery } from '../http/validation.js';
import { StreamHub } from './stream-hub.js';

@ApiTags('stream')
@Controller('lora/stream')
export class StreamController {
  constructor(private readonly hub: StreamHub) {}

  @Get()
  @ApiOperation({
    summary: 'Every new state of a fleet, as server-sent events',
    description:
      'On connect the current state, then each new one as `event: state` with the ETag as id; `: heartbeat` every 15 s. ' +
      '`event: stale` and the end when this replica has lost touch with the log: connect to another one.',
  })
  @ApiQuery({ type: FleetQuery })
  @ApiHeader({
    name: 'Last-Event-ID',
    required: false,
    description: 'With the current id, only what follows it.',
  })
  @ApiOkResponse({ content: { 'text/event-stream': { schema: { type: 'string' } } } })
  @ApiProblems(400, 404, 503)
  stream(
    @StrictQuery(FleetQuery) { fleet }: FleetQuery,
    @FromCaller() { headers }: Caller,
    @Res() response: Response,
  ) {
    const lastEventId = headers['last-event-id'];
    return this.hub.stream(fleet, typeof lastEventId === 'string' ? lastEventId : undefined, response);
  }
}
