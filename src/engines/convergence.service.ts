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
    const standings = (await this.engines.standings(new Map([[fleet, asked]]), counted)).get(fleet);
    if (standings === undefined) {
      throw Problem.invalid('generation', `is none of fleet ${fleet}, whose newest is ${known.generation}`);
    }
    return convergenceOf(fleet, standings);
  }

  /**
   * Waits until commands of several fleets, each at its generation, have arrived on every engine that was registered at
   * their commit. Of a fleet it ends before when the command is overtaken and when there is no engine; of all when the
   * caller has gone, and when this replica stops.
   * @returns what was last known of each fleet; nothing of one when nothing could be read
   */
  async arrival(
    generations: ReadonlyMap<string, number>,
    seconds: number,
    gone: AbortSignal,
  ): Promise<ReadonlyMap<string, Convergence>> {
    const end = performance.now() + seconds * 1000;
    const open = new Map(generations);
    const known = new Map<string, Convergence>();
    // A database that hangs must not make the caller wait for longer.
    const timeUp = pause(seconds * 1000, [], { ref: false });
    for (;;) {
      const news = this.news(end);
      for (const found of await Promise.race([this.look(open), timeUp])) {
        known.set(found.fleet, found);
        if (found.converged === true || found.superseded_by !== undefined || found.engines === 0) {
          open.delete(found.fleet);
        }
      }
      if (open.size === 0 || gone.aborted || this.ending.signal.aborted || performance.now() >= end) {
        news.cancel();
        return known;
      }
      await news.heard;
    }
  }

  /** Ends every wait, with what is known by then. */
  end(): void {
    this.ending.abort();
  }

  private async look(generations: ReadonlyMap<string, number>): Promise<Convergence[]> {
    try {
      const standings = await this.engines.standings(generations, 'at-commit');
      return [...standings].map(([fleet, each]) => convergenceOf(fleet, each));
    } catch (error) {
      if (error instanceof LogUnavailable) return [];
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
