import { setTimeout as sleep } from 'node:timers/promises';

import type { StreamRecord } from './agreement-history.js';
import { type Target, UPSTREAM } from './agreement-call.js';
import { until } from './agreement-node.js';
import type { Random } from './agreement-random.js';
import { EventStream } from './sse.js';

/** Engines that stream the state of one fleet each, go elsewhere when a stream ends, and write down what they hear. */
export class Engines {
  readonly streams: StreamRecord[] = [];
  /** How many streams said that their replica had lost touch. */
  stale = 0;
  private readonly newest = new Map<string, { fleet: string; generation: number }>();
  private stopping = false;
  private working: Promise<unknown> | undefined;

  constructor(private readonly places: readonly Target[]) {}

  start(random: Random, fleets: readonly string[], count: number): void {
    this.working = Promise.all(
      Array.from({ length: count }, (_, nth) =>
        this.follow(random.fork(), `engine-${nth}`, fleets[nth % fleets.length] ?? ''),
      ),
    );
  }

  /** Waits until each engine has heard of the newest state of its fleet, and ends. */
  async endAt(heads: ReadonlyMap<string, number>): Promise<void> {
    await until('all engines know the head', () =>
      [...this.newest.values()].every(({ fleet, generation }) => generation >= (heads.get(fleet) ?? 0)),
    );
    this.stopping = true;
    await this.working;
  }

  private async follow(random: Random, engine: string, fleet: string): Promise<void> {
    this.newest.set(engine, { fleet, generation: 0 });
    let lastId: string | undefined;
    while (!this.stopping) {
      const place = random.pick(this.places);
      const headers: Record<string, string> =
        lastId === undefined || random.chance(0.3) ? {} : { 'last-event-id': lastId };
      lastId = (await this.listen(place, engine, fleet, headers, 500 + random.below(4000))) ?? lastId;
      await sleep(random.below(100));
    }
  }

  /** One connection, until it ends or the engine has had enough. @returns the last id heard */
  private async listen(
    place: Target,
    engine: string,
    fleet: string,
    headers: Record<string, string>,
    forMs: number,
  ): Promise<string | undefined> {
    const sentAt = performance.now();
    let stream: EventStream;
    let replica: string;
    try {
      replica = place.incarnation;
      stream = await EventStream.open(place.url, `/lora/stream?fleet=${fleet}`, headers);
      replica = String(stream.response.headers[UPSTREAM] ?? replica);
    } catch {
      return undefined;
    }
    while (!this.stopping && stream.endedAt === undefined && performance.now() < sentAt + forMs) {
      await sleep(20);
      const last = stream.states.at(-1);
      if (last) this.newest.set(engine, { fleet, generation: Number(last.data.generation) });
    }
    stream.close();
    if (stream.status !== 200) return undefined;
    if (stream.events.some(({ event }) => event === 'stale')) this.stale++;
    const states = stream.states.map(({ data, at }) => ({
      generation: Number(data.generation),
      receivedAt: at,
      enabled: Boolean(data.enabled),
      version: data.active_adapter_version as unknown as string | null,
    }));
    this.streams.push({ engine, replica, fleet, sentAt, states });
    return stream.states.at(-1)?.id;
  }
}
