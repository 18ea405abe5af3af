// Owns the log: the lane into it, reads of it, its projection.
// Must never know who asks or over which protocol.
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';

import { AuditReader } from './audit-reader.js';
import { EventEntity } from './event.entity.js';
import { EventReader } from './event-reader.js';
import { EventStore } from './event-store.js';

@Module({
  imports: [TypeOrmModule.forFeature([EventEntity])],
  providers: [EventStore, EventReader, AuditReader],
  exports: [EventStore, EventReader, AuditReader],
})
export class EventStoreModule {}
