// Owns who calls, who may do what, and the record of both and of refusals.
// Must never let a call through that its table does not name.
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';

import type { Settings } from '../config/settings.js';
import { AccessController } from './access.controller.js';
import { AccessFile } from './access-file.js';
import { AccessGuard } from './access.guard.js';
import { AccessRecord } from './access-record.js';
import { AccessService } from './access.service.js';
import { AccessStore } from './access.store.js';
import { Authenticator } from './authenticator.js';
import { CallerNames } from './caller-names.js';
import { OidcVerifier } from './oidc.verifier.js';
import { RefusalRecord } from './refusal-record.js';
import { TOKEN_VERIFIERS, type TokenVerifier } from './principal.js';

@Module({
  controllers: [AccessController],
  providers: [
    AccessFile,
    Authenticator,
    AccessGuard,
    AccessRecord,
    CallerNames,
    OidcVerifier,
    AccessService,
    AccessStore,
    RefusalRecord,
    {
      provide: TOKEN_VERIFIERS,
      inject: [AccessFile, OidcVerifier],
      useFactory: (...verifiers: TokenVerifier[]) => verifiers,
    },
  ],
  exports: [AccessFile, OidcVerifier, AccessGuard, AccessRecord, RefusalRecord],
})
export class AccessModule {
  /** Where nobody is asked who calls there is no guard: an empty one would cost every read a few percent. */
  static with({ access }: Settings): DynamicModule {
    const guard = { provide: APP_GUARD, useExisting: AccessGuard };
    return { module: AccessModule, global: true, providers: access === 'required' ? [guard] : [] };
  }
}
