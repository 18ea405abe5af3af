// Owns the answer to /metrics.
// Must never change what it measures.
import { Module } from '@nestjs/common';

import { EnginesModule } from '../engines/engines.module.js';
import { EventStoreModule } from '../event-store/event-store.module.js';
import { StreamModule } from '../stream/stream.module.js';
import { MetricsController } from './metrics.controller.js';
import { MetricsService } from './metrics.service.js';

@Module({
  imports: [EventStoreModule, StreamModule, EnginesModule],
  controllers: [MetricsController],
  providers: [MetricsService],
})
export class MetricsModule {}
