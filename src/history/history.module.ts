// Owns the auditor's reads of the log.
// Must never change anything but how far the log has been counted.
import { Module } from '@nestjs/common';

import { EventStoreModule } from '../event-store/event-store.module.js';
import { HistoryController } from './history.controller.js';
import { HistoryService } from './history.service.js';
import { TallyKeeper } from './tally-keeper.js';

@Module({
  imports: [EventStoreModule],
  controllers: [HistoryController],
  providers: [HistoryService, TallyKeeper],
})
export class HistoryModule {}
