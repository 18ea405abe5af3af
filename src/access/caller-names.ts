import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';

import type { Identity } from '../http/identity.js';
import { AccessStore } from './access.store.js';
import { LateWrites } from './late-writes.js';

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
  private readonly writes = new LateWrites(() => {
    const [first] = this.waiting;
    return first && this.write(...first);
  });

  constructor(private readonly store: AccessStore) {}

  note({ actor, name }: Identity): void {
    if (name === null || this.waiting.size >= WAITING_MAX) return;
    this.waiting.set(actor, { name, at: performance.now() });
    this.writes.begin();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.writes.end();
  }

  private async write(actor: string, seen: Seen): Promise<void> {
    await this.store.recordName(actor, seen.name, seen.at);
    if (this.waiting.get(actor) === seen) this.waiting.delete(actor);
  }
}
