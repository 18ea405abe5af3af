import { hash } from 'node:crypto';

import { Inject, Injectable, Logger } from '@nestjs/common';
import { v4 as uuid } from 'uuid';

import { SETTINGS, type Settings } from '../config/settings.js';
import { canonicalJson } from '../event-store/event-format.js';
import { EventStore } from '../event-store/event-store.js';
import { decide } from './domain/decide.js';
import { differencesFromFlags } from './domain/flags.js';
import { DEFAULT_FLEET } from './domain/names.js';
import { initializeCommand } from './lora.requests.js';

/** The start tries again when the log is held for longer. */
const DEADLINE_MS = 1800;

/** An empty log gets its fleet `default` from the flags; a log that has one is never overridden by them. */
@Injectable()
export class FirstStart {
  private readonly logger = new Logger('Lora');

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    private readonly store: EventStore,
  ) {}

  /** After the log has been read. Safe to run on every replica at every start. */
  async run(): Promise<void> {
    await this.compareOrMake();
    // So that an answer has its histories also when the log cannot be asked.
    const snapshot = this.store.memory.get(DEFAULT_FLEET);
    if (snapshot) await this.store.historiesOf(snapshot);
  }

  private async compareOrMake(): Promise<void> {
    const stored = this.store.memory.get(DEFAULT_FLEET);
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
    const { type } = await this.store.append({
      fleet: DEFAULT_FLEET,
      among: null,
      isKill: false,
      key: uuid(),
      fingerprint: hash('sha256', canonicalJson({ ...command }), 'buffer'),
      origin: { actor: 'system', auth: 'boot', source: null, remote_address: null, request_id: uuid() },
      confirmed: null,
      deadline: performance.now() + DEADLINE_MS,
      decide: (_fleet, existing) => decide(command, existing?.state ?? null, null),
    });
    if (type === 'unchanged') return; // another replica was first
    const adapter = adapter_version ?? 'the base model';
    this.logger.log(
      `The log is new: made fleet ${DEFAULT_FLEET}, LoRA ${enabled ? 'enabled' : 'DISABLED'}, ${adapter}.`,
    );
  }
}
