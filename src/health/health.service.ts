import { Inject, Injectable } from '@nestjs/common';

import { AccessFile } from '../access/access-file.js';
import { OidcVerifier } from '../access/oidc.verifier.js';
import { AuditWatch } from '../audit/audit-watch.js';
import { SETTINGS, type Settings } from '../config/settings.js';
import { VERSION } from '../config/version.js';
import { EventStore } from '../event-store/event-store.js';
import { Answer } from '../http/answer.js';
import { differencesFromFlags } from '../lora/domain/flags.js';
import { DEFAULT_FLEET } from '../lora/domain/names.js';
import type { HealthBody, ReadyBody } from './health.dto.js';

/** The newest event may be so far ahead of this clock. */
const CLOCK_TOLERANCE_SECONDS = 1;

@Injectable()
export class HealthService {
  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    private readonly store: EventStore,
    private readonly accessFile: AccessFile,
    private readonly oidc: OidcVerifier,
    private readonly audit: AuditWatch,
  ) {}

  async ready(): Promise<Answer<ReadyBody>> {
    const ready = await this.store.canAppend();
    return ready ? new Answer({ status: 'ready' }) : new Answer({ status: 'not-ready' }, {}, 503);
  }

  async health(): Promise<HealthBody> {
    const up = await this.store.canAppend();
    const { wentBackwards, aheadSeconds } = this.store.memory;
    const clockBehind = aheadSeconds > CLOCK_TOLERANCE_SECONDS;
    const audited = this.audit.state === 'ok' || this.audit.state === 'off';
    const access = this.access();
    const asked = access === 'open' || access === 'required';
    const sound = up && !wentBackwards && !clockBehind && asked && audited;
    return {
      status: sound ? 'ok' : 'degraded',
      version: VERSION,
      components: {
        log: wentBackwards ? 'went-backwards' : up ? 'up' : 'down',
        feed: this.store.feed.mode,
        clock: clockBehind ? 'behind-the-log' : 'ok',
        access,
        audit: this.audit.state,
      },
      flags_differ: this.flagsDiffer(),
    };
  }

  private access(): HealthBody['components']['access'] {
    if (this.accessFile.isBroken) return 'file-broken';
    return this.oidc.isIssuerAway ? 'issuer-away' : this.settings.access;
  }

  private flagsDiffer(): boolean | null {
    const stored = this.store.memory.seen(DEFAULT_FLEET);
    return stored && differencesFromFlags(this.settings, stored.state).length > 0;
  }
}
