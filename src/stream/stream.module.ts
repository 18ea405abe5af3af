// Owns the news: streams and waiting reads.
// Must never say that a state is current without a fresh confirmation from the log.
import { Module } from '@nestjs/common';

import { EventStoreModule } from '../event-store/event-store.module.js';
import { Gate } from './gate.js';
import { SpareTime } from './spare-time.js';
import { StreamController } from './stream.controller.js';
import { StreamHub } from './stream-hub.js';

@Module({
  imports: [EventStoreModule],
  controllers: [StreamController],
  providers: [Gate, SpareTime, StreamHub],
  exports: [Gate, StreamHub],
})
export class StreamModule {}
