// Owns the feature: commands of a fleet, its status, the fleets.
// Must never decide outside domain/, and never write SQL.
import { Module } from '@nestjs/common';

import { EnginesModule } from '../engines/engines.module.js';
import { EventStoreModule } from '../event-store/event-store.module.js';
import { StreamModule } from '../stream/stream.module.js';
import { AdaptersController } from './adapters.controller.js';
import { CommandConvergence } from './command-convergence.js';
import { CommandAnswers } from './command-answers.js';
import { FirstStart } from './first-start.js';
import { FleetsController } from './fleets.controller.js';
import { LoraController } from './lora.controller.js';
import { LoraService } from './lora.service.js';
import { StatusService } from './status.service.js';

@Module({
  imports: [EventStoreModule, StreamModule, EnginesModule],
  controllers: [LoraController, AdaptersController, FleetsController],
  providers: [LoraService, CommandAnswers, CommandConvergence, StatusService, FirstStart],
})
export class LoraModule {}
