import { setTimeout as pause } from 'node:timers/promises';

import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnModuleInit,
} from '@nestjs/common';

import { SETTINGS, type Settings } from '../config/settings.js';
import { reasonFor } from '../http/cause-log.js';
import { Problem } from '../http/problem.js';
import { LogUnavailable } from '../lora/domain/errors.js';
import { auditFailing, auditPassSeconds, auditSlow } from './audit-metrics.js';
import type { KeptCheckpoint } from './audit.store.js';
import { Contradiction } from './contradiction.js';
import type { SignerKey } from './core/note.js';
import { Notary } from './notary.js';
import { PassPace, restAfter } from './pass-pace.js';
import { configuredKey, embeddedKey } from './signing-key.js';

/** `off`: there is no key; `slow`: a change of the past shows, but later than after an interval. */
export const AUDIT_STATES = ['off', 'ok', 'slow', 'failing', 'contradicted'] as const;
export type AuditState = (typeof AUDIT_STATES)[number];

/** Timers may come some milliseconds early. */
const LATE_MS = 50;

interface Demand {
  readonly resolve: (checkpoint: KeptCheckpoint | null) => void;
  readonly reject: (error: unknown) => void;
}

/** Has the log checked and signed again and again, and remembers what was found. */
@Injectable()
export class AuditWatch implements OnModuleInit, BeforeApplicationShutdown {
  private readonly logger = new Logger('Audit');
  private readonly stopping = new AbortController();
  private readonly pace: PassPace;
  private signingKey: SignerKey | undefined;
  private failure: string | undefined;
  private demands: Demand[] = [];
  private hurried = false;
  private wake: () => void = () => undefined;
  private running: Promise<void> | undefined;

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    private readonly notary: Notary,
  ) {
    this.pace = new PassPace(settings.auditCheckpointSeconds * 1000);
  }

  /** @throws Error when the key that was set cannot be used: the start stops */
  async onModuleInit(): Promise<void> {
    this.signingKey = await configuredKey(this.settings);
  }

  /** Once the database is open. @throws Error while the key beside the embedded database cannot be used */
  async begin(): Promise<void> {
    if (this.running) return;
    try {
      if (this.settings.databaseUrl === undefined) this.signingKey ??= await embeddedKey(this.settings);
    } catch (error) {
      this.note(reasonFor(error));
      throw error;
    }
    if (this.signingKey === undefined)
      this.logger.warn('No checkpoints are signed: AUDIT_SIGNING_KEY_FILE is not set.');
    else this.running ??= this.run(this.signingKey);
  }

  get state(): AuditState {
    if (this.notary.contradiction) return 'contradicted';
    if (this.failure !== undefined) return 'failing';
    if (this.signingKey === undefined) return 'off';
    return this.pace.isSlow(performance.now()) ? 'slow' : 'ok';
  }

  /** @throws Problem `no-signing-key`, LogUnavailable while it is not known whether there is one */
  requireKey(): SignerKey {
    if (this.signingKey) return this.signingKey;
    if (this.settings.databaseUrl === undefined) throw new LogUnavailable('The log is not open yet.');
    throw new Problem('no-signing-key', 'This service has no key to sign checkpoints with.');
  }

  /**
   * The newest checkpoint, after a pass that begins after this call, and not before the last one has rested. All who wait
   * for one get the same.
   * @throws Contradiction, LogUnavailable
   */
  fresh(): Promise<KeptCheckpoint | null> {
    if (!this.running || this.isStopping())
      return Promise.reject(new LogUnavailable('The log is not open now.'));
    return new Promise((resolve, reject) => {
      this.demands.push({ resolve, reject });
      this.hurried = true;
      this.wake();
    });
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    this.wake();
    await this.running;
  }

  private async run(key: SignerKey): Promise<void> {
    while (!this.isStopping()) {
      const served = this.demands.splice(0);
      this.hurried = served.length > 0;
      const began = performance.now();
      this.pace.begin(began);
      // A pass that hangs, in a folder that does not answer, comes to no rest.
      const late = setTimeout(
        () => {
          this.noteSlow();
        },
        this.settings.auditCheckpointSeconds * 1000 + LATE_MS,
      ).unref();
      try {
        const checkpoint = await this.notary.pass(key, (took) => this.rest(took));
        auditPassSeconds.set((performance.now() - began) / 1000);
        this.note(undefined);
        for (const { resolve } of served) resolve(checkpoint);
      } catch (error) {
        if (!(error instanceof Contradiction || this.isStopping()))
          this.note(reasonFor(error instanceof LogUnavailable ? error.cause : error));
        for (const { reject } of served) reject(refusalOf(error));
      }
      clearTimeout(late);
      this.pace.end(performance.now());
      this.noteSlow();
      await this.pause(this.pace.soonest - performance.now()).catch(() => undefined);
      if (this.demands.length === 0) await this.sleepUntil(this.pace.due);
    }
    for (const { reject } of this.demands) reject(refusalOf(this.stopping.signal.reason));
  }

  private isStopping(): boolean {
    return this.stopping.signal.aborted;
  }

  private note(failure: string | undefined): void {
    auditFailing.set(Number(failure !== undefined));
    if (failure !== undefined && failure !== this.failure)
      this.logger.warn(`The log cannot be checked: ${failure}`);
    this.failure = failure;
  }

  private noteSlow(): void {
    auditSlow.set(Number(this.pace.isSlow(performance.now())));
  }

  /** @throws AbortError when the service stops */
  private async rest(took: number): Promise<void> {
    this.noteSlow();
    if (this.hurried) return;
    const from = performance.now();
    await this.pause(restAfter(took));
    this.pace.noteRest(performance.now() - from);
  }

  /** Not ended by those who ask. @throws AbortError when the service stops */
  private pause(length: number): Promise<void> {
    return pause(Math.max(0, length), undefined, { ref: false, signal: this.stopping.signal });
  }

  /** Until then, or until somebody asks. */
  private sleepUntil(time: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, Math.max(0, time - performance.now()));
      timer.unref();
      function done(): void {
        clearTimeout(timer);
        resolve();
      }
      this.wake = done;
      if (this.isStopping()) done();
    });
  }
}

/** What a caller is told whose checkpoint could not be taken. */
function refusalOf(error: unknown): Error {
  if (error instanceof Contradiction || error instanceof LogUnavailable) return error;
  return new LogUnavailable('The checkpoint cannot be kept now.', undefined, undefined, { cause: error });
}
