import { Inject, Injectable } from '@nestjs/common';
import { collectDefaultMetrics, Gauge, register, Registry } from 'prom-client';

import { SETTINGS, type Settings } from '../config/settings.js';
import { EnginesStore } from '../engines/engines.store.js';
import { EventStore } from '../event-store/event-store.js';
import { differencesFromFlags } from '../lora/domain/flags.js';
import { DEFAULT_FLEET } from '../lora/domain/names.js';
import { StreamHub } from '../stream/stream-hub.js';

/** What the state says when it is asked; what is counted as it happens stands with what happens. */
@Injectable()
export class MetricsService {
  private readonly asked = new Registry();

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    private readonly store: EventStore,
    private readonly hub: StreamHub,
    private readonly engines: EnginesStore,
  ) {
    collectDefaultMetrics({ register: this.asked });
    const { memory, feed, readIndex } = this.store;
    this.perFleet(
      'lora_fleet_enabled',
      '1 while LoRA is enabled in the fleet, 0 while the kill-switch is active.',
      (name) => (memory.seen(name)?.state.enabled ? 1 : 0),
    );
    this.perFleet(
      'lora_fleet_generation',
      'Position of the last event of the fleet.',
      (name) => memory.seen(name)?.generation ?? 0,
    );
    this.gauge(
      'lora_log_position',
      'Position up to which this replica knows the log.',
      () => memory.position,
    );
    this.gauge('lora_streams_open', 'Streams and waiting reads open.', () => this.hub.open);
    this.gauge('lora_stale', '1 while this replica cannot confirm the log, or cannot trust it.', () =>
      Number(this.hub.isStale),
    );
    this.gauge('lora_log_went_backwards', '1 when the log lacks events that this replica has seen.', () =>
      Number(memory.wentBackwards),
    );
    this.gauge('lora_feed_listening', '0 where notifications do not arrive and the log is polled.', () =>
      Number(feed.mode === 'listening'),
    );
    this.gauge('lora_feed_lag_seconds', 'How long ago the last confirmation of the log began.', () => {
      const last = readIndex.lastConfirmed;
      return last === undefined ? Infinity : (performance.now() - last.startedAt) / 1000;
    });
    this.gauge(
      'lora_recorded_at_ahead_seconds',
      'How far the newest event is ahead of this clock; 0 when it is not.',
      () => memory.aheadSeconds,
    );
    this.gauge(
      'lora_flags_differ',
      '1 when LORA_ENABLED or ACTIVE_LORA_ADAPTER say something else than the log.',
      () => {
        const stored = memory.seen(DEFAULT_FLEET);
        return Number(stored !== null && differencesFromFlags(this.settings, stored.state).length > 0);
      },
    );
    this.enginesByState();
  }

  /** Absent while the database cannot be asked: a scrape must not fail for it. */
  private enginesByState(): void {
    const { engines } = this;
    new Gauge({
      name: 'lora_engines',
      help: 'Engines that stand registered, by what they report; lost: not heard of for ENGINE_TTL_SECONDS.',
      labelNames: ['fleet', 'state'],
      registers: [this.asked],
      async collect() {
        this.reset();
        const counts = await engines.counts().catch(() => []);
        for (const { fleet, state, engines } of counts) this.set({ fleet, state }, engines);
      },
    });
  }

  /** All metrics as Prometheus text. */
  text(): Promise<string> {
    return Registry.merge([register, this.asked]).metrics();
  }

  get contentType(): string {
    return this.asked.contentType;
  }

  private gauge(name: string, help: string, value: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.asked],
      collect() {
        this.set(value());
      },
    });
  }

  private perFleet(name: string, help: string, value: (fleet: string) => number): void {
    const { memory } = this.store;
    new Gauge({
      name,
      help,
      labelNames: ['fleet'],
      registers: [this.asked],
      collect() {
        this.reset();
        for (const fleet of memory.seenNames()) this.set({ fleet }, value(fleet));
      },
    });
  }
}
