import { setTimeout as pause } from 'node:timers/promises';

import { Injectable } from '@nestjs/common';

import { EventStore } from '../event-store/event-store.js';
import { Problem } from '../http/problem.js';
import { LogUnavailable, UnknownFleet } from '../lora/domain/errors.js';
import { type Convergence, convergenceOf, type Counted } from './convergence.js';
import { EngineReports } from './engine-reports.js';
import { EnginesStore } from './engines.store.js';

/** How often a wait looks for what other replicas have stored. */
const LOOK_MS = 50;

/** Tells whether a state has arrived on all engines of its fleet. */
@Injectable()
export class ConvergenceService {
  private readonly ending = new AbortController();

  constructor(
    private readonly engines: EnginesStore,
    private readonly reports: EngineReports,
    private readonly events: EventStore,
  ) {}

  /**
   * How far a generation has come; the newest one by default.
   * @throws Refusal `unknown-fleet`, Problem 400 when the fleet has no such generation, LogUnavailable
   */
  async of(fleet: string, counted: Counted, generation?: number): Promise<Convergence> {
    await this.events.readIndex.confirm();
    const { memory } = this.events;
    const known = memory.get(fleet);
    if (known === null) throw new UnknownFleet(fleet, memory.names());
    const asked = generation ?? known.generation;
    const standings = await this.engines.standings(fleet, asked, counted);
    if (standings === undefined) {
      throw Problem.invalid('generation', `is none of fleet ${fleet}, whose newest is ${known.generation}`);
    }
    return convergenceOf(fleet, asked, standings);
  }

  /**
   * Waits until a command has arrived on every engine that was registered at its commit. Ends before when the
   * command is overtaken, when there is no engine, when the caller has gone, and when this replica stops.
   * @returns what was last known; null when nothing could be read
   */
  async arrival(
    fleet: string,
    generation: number,
    seconds: number,
    gone: AbortSignal,
  ): Promise<Convergence | null> {
    const end = performance.now() + seconds * 1000;
    let last: Convergence | null = null;
    // A database that hangs must not make the caller wait for longer.
    const timeUp = pause(seconds * 1000, null, { ref: false });
    for (;;) {
      const news = this.news(end);
      last = (await Promise.race([this.look(fleet, generation), timeUp])) ?? last;
      const settled = last?.converged === true || last?.superseded_by !== undefined || last?.engines === 0;
      if (settled || gone.aborted || this.ending.signal.aborted || performance.now() >= end) {
        news.cancel();
        return last;
      }
      await news.heard;
    }
  }

  /** Ends every wait, with what is known by then. */
  end(): void {
    this.ending.abort();
  }

  private async look(fleet: string, generation: number): Promise<Convergence | null> {
    try {
      const standings = await this.engines.standings(fleet, generation, 'at-commit');
      return standings === undefined ? null : convergenceOf(fleet, generation, standings);
    } catch (error) {
      if (error instanceof LogUnavailable) return null;
      throw error;
    }
  }

  /** Resolves when reports have been stored here, and at the latest when it is time to look again. */
  private news(end: number): { heard: Promise<void>; cancel: () => void } {
    let cancel = (): void => undefined;
    const heard = new Promise<void>((resolve) => {
      const timer = setTimeout(done, Math.max(0, Math.min(LOOK_MS, end - performance.now())));
      const forget = this.reports.onStored(done);
      const { signal } = this.ending;
      signal.addEventListener('abort', done);
      function done(): void {
        clearTimeout(timer);
        forget();
        signal.removeEventListener('abort', done);
        resolve();
      }
      cancel = done;
    });
    return { heard, cancel };
  }
}
