import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

import { Logger } from '@nestjs/common';

import { LogConnection } from './log-connection.js';
import { feedReconnects } from './log-metrics.js';
import type { LogMemory } from './log-memory.js';
import type { ReadIndex } from './read-index.js';

const CHANNEL = 'lora_log';
/** How often the log is asked anyway, where LISTEN works and where it does not. */
const POLL_MS = { listening: 1000, polling: 100 } as const;
/** How much later than the notification the answer to an append may come. */
const OWN_ANSWER_MS = 1;
const HEARTBEAT_MS = 2000;
const HEARTBEAT_TIMEOUT_MS = 1000;
const PROBE_TIMEOUT_MS = 2000;
const RECONNECT_MAX_MS = 500;

/**
 * Keeps this replica's memory close to the head of the log. LISTEN is a hint, polling is what makes it right: both
 * do nothing but ask the read index, whose answer brings what is missing.
 */
export class LogFeed {
  private readonly logger = new Logger('Feed');
  private readonly listener: LogConnection;
  private readonly probe = `probe:${randomUUID()}`;
  private heard: (() => void) | undefined;
  private listening = false;
  private readonly stopping = new AbortController();
  private wake: (() => void) | undefined;
  private running: Promise<unknown> | undefined;
  private connected = false;
  private warned = false;
  private resting = new AbortController();

  constructor(
    connectionString: () => string,
    private readonly memory: LogMemory,
    private readonly readIndex: ReadIndex,
    /** Another connection than the feed's own, to probe it from. */
    private readonly others: LogConnection,
    private readonly isAppending: () => boolean,
  ) {
    this.listener = new LogConnection(
      connectionString,
      { name: 'feed', statementTimeoutMs: HEARTBEAT_TIMEOUT_MS },
      async (client) => {
        client.on('notification', ({ payload }) => {
          if (payload === this.probe) this.heard?.();
          else this.hear(Number(payload));
        });
        await client.query(`listen ${CHANNEL}`);
        if (this.connected) feedReconnects.inc();
        this.connected = true;
        // Listen first, then read: what was appended in between is not missed.
        this.hint();
      },
      () => {
        this.listening = false;
        this.hint();
        this.resting.abort();
      },
    );
  }

  /** `polling` where a pooler swallows notifications, or while the connection is away. */
  get mode(): 'listening' | 'polling' {
    return this.listening ? 'listening' : 'polling';
  }

  start(): void {
    this.running = Promise.all([this.poll(), this.heartbeat()]);
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.wake?.();
    this.listener.cut();
    await this.listener.close();
    await this.running;
  }

  /**
   * What is known needs no question: mostly it is this replica's own event, whose answer has come, or is about to while
   * this replica appends. That the log went backwards the next poll or read finds.
   */
  private hear(position: number): void {
    if (!this.isAppending()) {
      this.hintUnlessKnown(position);
      return;
    }
    setTimeout(() => {
      this.hintUnlessKnown(position);
    }, OWN_ANSWER_MS).unref();
  }

  /** A payload that is no position, as of an adoption, is always a hint. */
  private hintUnlessKnown(position: number): void {
    if (!(position <= this.memory.position)) this.hint();
  }

  private hint(): void {
    this.wake?.();
  }

  private async poll(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      const woken = this.sleep(POLL_MS[this.mode]);
      await this.readIndex.confirm().catch(() => undefined);
      await woken;
    }
  }

  /** Waits for a hint or the time, whichever is first; a hint while the log is being asked is not lost. */
  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      timer.unref();
      function done(): void {
        clearTimeout(timer);
        resolve();
      }
      this.wake = done;
    });
  }

  private async heartbeat(): Promise<void> {
    let failures = 0;
    while (!this.stopping.signal.aborted) {
      const cut = setTimeout(() => {
        this.listener.cut();
      }, HEARTBEAT_TIMEOUT_MS + PROBE_TIMEOUT_MS);
      this.resting = new AbortController();
      try {
        if (this.listening) await this.listener.run('select 1');
        else await this.probeNotifications();
        failures = 0;
      } catch {
        failures++;
        this.listening = false;
        this.listener.cut();
      }
      clearTimeout(cut);
      // A connection that is lost while this rests ends the rest; one that cannot be opened is not hammered.
      const rest = failures === 0 ? HEARTBEAT_MS : Math.min(RECONNECT_MAX_MS, 25 * 2 ** failures);
      const signal =
        failures > 0 ? this.stopping.signal : AbortSignal.any([this.stopping.signal, this.resting.signal]);
      await pause(rest, undefined, { ref: false, signal }).catch(() => undefined);
    }
  }

  /** A pooler that hands each transaction another session swallows what comes between them. */
  private async probeNotifications(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const heard = new Promise<boolean>((resolve) => {
      this.heard = () => {
        resolve(true);
      };
      timer = setTimeout(resolve, PROBE_TIMEOUT_MS, false);
    });
    try {
      await this.listener.run('select 1');
      await this.others.run(`notify ${CHANNEL}, '${this.probe}'`);
      this.listening = await heard;
    } finally {
      clearTimeout(timer);
      this.heard = undefined;
    }
    if (this.listening || this.warned) {
      this.warned = !this.listening;
      return;
    }
    this.warned = true;
    this.logger.warn(
      `Notifications do not arrive (a pooler in between?): the log is asked every ${POLL_MS.polling} ms instead.`,
    );
  }
}
