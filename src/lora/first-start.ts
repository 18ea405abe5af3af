import { Inject, Injectable, Logger } from '@nestjs/common';
import { v4 as uuid } from 'uuid';

import { SETTINGS, type Settings } from '../config/settings.js';
import { canonicalJson, sha256 } from '../event-store/event-format.js';
import { EventReader } from '../event-store/event-reader.js';
import { EventStore } from '../event-store/event-store.js';
import { decide } from './domain/decide.js';
import { differencesFromFlags } from './domain/flags.js';
import { DEFAULT_FLEET } from './domain/names.js';
import { initializeCommand } from './lora.requests.js';

/** An empty log gets its fleet `default` from the flags; a log that has one is never overridden by them. */
@Injectable()
export class FirstStart {
  private readonly logger = new Logger('Lora');

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    private readonly store: EventStore,
    private readonly reader: EventReader,
  ) {}

  /** Safe to run on every replica at every start. */
  async run(): Promise<void> {
    const stored = await this.reader.latest(DEFAULT_FLEET);
    if (stored === null) {
      await this.initializeDefaultFleet();
      return;
    }
    const differences = differencesFromFlags(this.settings, stored.state);
    if (differences.length === 0) return;
    this.logger.warn(
      `The flags do not override the log. ${differences.join(' ')} To turn LoRA off, POST /lora/disable.`,
    );
  }

  private async initializeDefaultFleet(): Promise<void> {
    const { loraEnabled: enabled, activeLoraAdapter: adapter_version } = this.settings;
    const command = initializeCommand(DEFAULT_FLEET, { enabled, adapter_version, reason: 'first_start' });
    await this.store.append({
      fleet: DEFAULT_FLEET,
      isKill: false,
      key: uuid(),
      fingerprint: sha256(canonicalJson({ ...command })),
      origin: { actor: 'system', auth: 'boot', source: null, remote_address: null, request_id: uuid() },
      confirmed: null,
      deadline: performance.now() + 10_000,
      decide: (existing) => decide(command, existing?.state ?? null, null),
    });
    const adapter = adapter_version ?? 'the base model';
    this.logger.log(
      `The log is new: made fleet ${DEFAULT_FLEET}, LoRA ${enabled ? 'enabled' : 'DISABLED'}, ${adapter}.`,
    );
  }
}
