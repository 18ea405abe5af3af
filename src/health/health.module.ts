// Owns the answers to "is it alive, can it take a kill, how is it".
// Must never do anything but look.
import { Module } from '@nestjs/common';

import { AuditModule } from '../audit/audit.module.js';
import { EventStoreModule } from '../event-store/event-store.module.js';
import { HealthController } from './health.controller.js';
import { HealthService } from './health.service.js';

@Module({
  imports: [AuditModule, EventStoreModule],
  controllers: [HealthController],
  providers: [HealthService],
})
export class HealthModule {}
