// Owns the log: the lane into it, reads of it, its projection.
// Must never know who asks or over which protocol.
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';

import { HistoryReader } from './history-reader.js';
import { EventEntity } from './event.entity.js';
import { EventReader } from './event-reader.js';
import { EventStore } from './event-store.js';
import { Tallies } from './tallies.js';

@Module({
  imports: [TypeOrmModule.forFeature([EventEntity])],
  providers: [EventStore, EventReader, HistoryReader, Tallies],
  exports: [EventStore, EventReader, HistoryReader, Tallies],
})
export class EventStoreModule {}
