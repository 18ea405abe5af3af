// Owns who calls, and who may do what.
// Must never let a call through that its table does not name.
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';

import type { Settings } from '../config/settings.js';
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
    {
      provide: TOKEN_VERIFIERS,
      inject: [AccessFile],
      useFactory: (...verifiers: TokenVerifier[]) => verifiers,
    },
  ],
  exports: [AccessFile, AccessGuard, AccessRecord],
})
export class AccessModule {
  /** Where nobody is asked who calls there is no guard: an empty one would cost every read a few percent. */
  static with({ access }: Settings): DynamicModule {
    const guard = { provide: APP_GUARD, useExisting: AccessGuard };
    return { module: AccessModule, global: true, providers: access === 'required' ? [guard] : [] };
  }
}
