// Owns the evidence: checkpoints of the log, and proofs against them.
// Must never be in the way of a command, and never sign what contradicts something signed before.
import { Module } from '@nestjs/common';

import { AuditController } from './audit.controller.js';
import { AuditStore } from './audit.store.js';
import { AuditWatch } from './audit-watch.js';
import { CheckpointFiles } from './checkpoint-files.js';
import { Evidence } from './evidence.service.js';
import { Notary } from './notary.js';

@Module({
  controllers: [AuditController],
  providers: [AuditStore, CheckpointFiles, Notary, AuditWatch, Evidence],
  exports: [AuditWatch],
})
export class AuditModule {}
