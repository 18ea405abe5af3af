// Owns which engines there are, what each reports, and whether a state has arrived on all of them.
// Must never be in the way of a command: it writes over a connection of its own, and the log does not know of it.
import { Module } from '@nestjs/common';

import { EventStoreModule } from '../event-store/event-store.module.js';
import { ConvergenceController } from './convergence.controller.js';
import { ConvergenceService } from './convergence.service.js';
import { EngineReports } from './engine-reports.js';
import { EnginesController } from './engines.controller.js';
import { EnginesService } from './engines.service.js';
import { EnginesStore } from './engines.store.js';

@Module({
  imports: [EventStoreModule],
  controllers: [EnginesController, ConvergenceController],
  providers: [EnginesStore, EngineReports, EnginesService, ConvergenceService],
  exports: [ConvergenceService, EnginesStore],
})
export class EnginesModule {}
