// Owns the auditor's reads of the log.
// Must never change anything.
import { Module } from '@nestjs/common';

import { EventStoreModule } from '../event-store/event-store.module.js';
import { HistoryController } from './history.controller.js';
import { HistoryService } from './history.service.js';

@Module({ imports: [EventStoreModule], controllers: [HistoryController], providers: [HistoryService] })
export class HistoryModule {}
