import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';

import { type BeforeApplicationShutdown, Inject, Injectable } from '@nestjs/common';
import type { Request } from 'express';

import { SETTINGS, type Settings } from '../config/settings.js';
import { addressOf, requestIdOf } from '../http/caller.js';
import { admissionOf } from '../http/identity.js';
import type { Problem } from '../http/problem.js';
import { refusals } from './access-metrics.js';
import { AccessStore, type Refused } from './access.store.js';
import { fleetOf, routeOf } from './asked.js';
import { LateWrites } from './late-writes.js';
import { type Kept, RefusalBounds } from './refusal-bounds.js';
import { isRefusal } from './refusals.js';

const WHILE_MS = 60_000;
/** What is refused within this time is written together. */
const GATHER_MS = 100;
const BATCH_MAX = 500;
const WAITING_MAX = 2000;

/** Puts refusals on record, after they have been answered. */
@Injectable()
export class RefusalRecord implements BeforeApplicationShutdown {
  private readonly replica: string;
  private readonly bounds = new RefusalBounds<Refused>();
  private readonly waiting: Kept<Refused>[] = [];
  private readonly writes = new LateWrites(
    () => (this.waiting.length > 0 ? this.write() : undefined),
    GATHER_MS,
  );
  private untilEnd: NodeJS.Timeout | undefined;

  constructor(
    @Inject(SETTINGS) { port }: Settings,
    private readonly store: AccessStore,
  ) {
    this.replica = `${hostname()}:${port}`;
  }

  /** Notes what was answered to a request, when it is a refusal. */
  note({ status, code }: Problem, request: Request): void {
    if (!isRefusal(code)) return;
    refusals.inc({ code });
    const { actor, auth } = admissionOf(request).identity;
    const address = addressOf(request) ?? null;
    const refusal: Refused = {
      refusal: randomUUID(),
      at: performance.now(),
      ...{ actor, auth, remote_address: address },
      ...{ call: routeOf(request), fleet: fleetOf(request) },
      ...{ status, code, request_id: requestIdOf(request) ?? null },
    };
    const isStranger = auth === 'none';
    this.untilEnd ??= setInterval(() => {
      this.endWhile();
    }, WHILE_MS).unref();
    const hasRoom = this.waiting.length < WAITING_MAX;
    const isKept = this.bounds.admit(isStranger ? `${address}` : actor, isStranger, refusal, hasRoom);
    if (isKept) this.keep([{ refusal, leftOut: 0 }]);
  }

  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.untilEnd);
    this.endWhile();
    await this.writes.end();
  }

  private endWhile(): void {
    if (this.waiting.length < WAITING_MAX) this.keep(this.bounds.end());
  }

  private keep(kept: readonly Kept<Refused>[]): void {
    if (kept.length === 0) return;
    this.waiting.push(...kept);
    this.writes.begin();
  }

  private async write(): Promise<void> {
    const batch = this.waiting.slice(0, BATCH_MAX);
    await this.store.recordRefusals(this.replica, batch);
    this.waiting.splice(0, batch.length);
  }
}
