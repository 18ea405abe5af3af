// Owns who calls, and who may do what.
// Must never let a call through that its table does not name.
import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';

import { AccessController } from './access.controller.js';
import { AccessFile } from './access-file.js';
import { AccessGuard } from './access.guard.js';
import { AccessRecord } from './access-record.js';
import { AccessStore } from './access.store.js';
import { Authenticator } from './authenticator.js';
import { TOKEN_VERIFIERS, type TokenVerifier } from './principal.js';

@Module({
  controllers: [AccessController],
  providers: [
    AccessFile,
    Authenticator,
    AccessGuard,
    AccessRecord,
    AccessStore,
    { provide: APP_GUARD, useExisting: AccessGuard },
    {
      provide: TOKEN_VERIFIERS,
      inject: [AccessFile],
      useFactory: (...verifiers: TokenVerifier[]) => verifiers,
    },
  ],
  exports: [AccessFile, AccessGuard],
})
export class AccessModule {}
