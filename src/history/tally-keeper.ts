import { type BeforeApplicationShutdown, Injectable, type OnModuleInit } from '@nestjs/common';

import { Tallies } from '../event-store/tallies.js';

const AGAIN_MS = 60_000;

/** Has the log counted now and then, so that no summary finds a month of it uncounted. */
@Injectable()
export class TallyKeeper implements OnModuleInit, BeforeApplicationShutdown {
  private timer: NodeJS.Timeout | undefined;
  private counting: Promise<void> | undefined;
  private stopped = false;

  constructor(private readonly tallies: Tallies) {}

  onModuleInit(): void {
    this.timer = setInterval(() => {
      this.counting ??= this.count().finally(() => (this.counting = undefined));
    }, AGAIN_MS).unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    await this.counting;
  }

  private async count(): Promise<void> {
    try {
      while (!this.stopped && (await this.tallies.count()) > 0);
    } catch {
      // The database's outage is told elsewhere, and a summary counts what is left.
    }
  }
}
