import { Inject, Injectable } from '@nestjs/common';

import { SETTINGS, type Settings } from '../config/settings.js';
import { VERSION } from '../config/version.js';
import { EventReader } from '../event-store/event-reader.js';
import { EventStore } from '../event-store/event-store.js';
import { Answer } from '../http/answer.js';
import { differencesFromFlags } from '../lora/domain/flags.js';
import { DEFAULT_FLEET } from '../lora/domain/names.js';
import type { HealthBody, ReadyBody } from './health.dto.js';

@Injectable()
export class HealthService {
  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    private readonly store: EventStore,
    private readonly reader: EventReader,
  ) {}

  async ready(): Promise<Answer<ReadyBody>> {
    const ready = await this.store.canAppend();
    return ready ? new Answer({ status: 'ready' }) : new Answer({ status: 'not-ready' }, {}, 503);
  }

  async health(): Promise<HealthBody> {
    const [up, differ] = await Promise.all([this.store.canAppend(), this.flagsDiffer()]);
    return {
      status: up ? 'ok' : 'degraded',
      version: VERSION,
      components: { log: up ? 'up' : 'down' },
      flags_differ: differ,
    };
  }

  private async flagsDiffer(): Promise<boolean | null> {
    const stored = await this.reader.latest(DEFAULT_FLEET).catch(() => null);
    return stored && differencesFromFlags(this.settings, stored.state).length > 0;
  }
}
