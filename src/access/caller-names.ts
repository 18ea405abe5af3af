import { setTimeout as pause } from 'node:timers/promises';

import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';

import type { Identity } from '../http/identity.js';
import { AccessStore } from './access.store.js';

const AGAIN_MS = 1000;
const WAITING_MAX = 10_000;

interface Seen {
  readonly name: string;
  /** `performance.now()` when its token came. */
  readonly at: number;
}

/** Puts on record how callers are called, as soon as the database can be reached. No call waits for it. */
@Injectable()
export class CallerNames implements BeforeApplicationShutdown {
  /** By actor. */
  private readonly waiting = new Map<string, Seen>();
  private readonly stopped = new AbortController();
  private writing: Promise<void> | undefined;

  constructor(private readonly store: AccessStore) {}

  note({ actor, name }: Identity): void {
    if (name === null || this.waiting.size >= WAITING_MAX) return;
    this.waiting.set(actor, { name, at: performance.now() });
    this.writing ??= this.write().finally(() => (this.writing = undefined));
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopped.abort();
    await this.writing;
  }

  private async write(): Promise<void> {
    const { signal } = this.stopped;
    for (let [first] = this.waiting; first !== undefined; [first] = this.waiting) {
      const [actor, seen] = first;
      try {
        await this.store.recordName(actor, seen.name, seen.at);
        if (this.waiting.get(actor) === seen) this.waiting.delete(actor);
      } catch {
        // Whatever it is, the database's outage is told elsewhere.
        await pause(AGAIN_MS, undefined, { signal }).catch(() => undefined);
        if (signal.aborted) return;
      }
    }
  }
}
