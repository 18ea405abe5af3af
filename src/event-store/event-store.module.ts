// Owns the log: the lane into it, reads of it, its projection.
// Must never know who asks or over which protocol.
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';

import { AuditReader } from './audit-reader.js';
import { EventEntity } from './event.entity.js';
import { EventReader } from './event-reader.js';
import { EventStore } from './event-store.js';
import { TallyReader } from './tally-reader.js';

@Module({
  imports: [TypeOrmModule.forFeature([EventEntity])],
  providers: [EventStore, EventReader, AuditReader, TallyReader],
  exports: [EventStore, EventReader, AuditReader, TallyReader],
})
export class EventStoreModule {}
