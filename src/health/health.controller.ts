import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';

import { HealthBody, LiveBody, ReadyBody } from './health.dto.js';
import { HealthService } from './health.service.js';

@ApiTags('health')
@Controller('health')
export class HealthController {
  constructor(private readonly healthService: HealthService) {}

  @Get('live')
  @ApiOperation({ summary: 'The process turns: route traffic by this' })
  @ApiOkResponse({ type: LiveBody })
  live(): LiveBody {
    return { status: 'live' };
  }

  @Get('ready')
  @ApiOperation({ summary: 'This replica can take a kill now: alert on this' })
  @ApiOkResponse({ type: ReadyBody })
  @ApiResponse({ status: 503, type: ReadyBody })
  ready() {
    return this.healthService.ready();
  }

  @Get()
  @ApiOperation({ summary: 'How the service and its parts are' })
  @ApiOkResponse({ type: HealthBody })
  health() {
    return this.healthService.health();
  }
}
