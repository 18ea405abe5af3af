import type { LoraEvent } from '../../src/lora/domain/events.js';
import { currentVersion, evolve, type FleetState } from '../../src/lora/domain/state.js';
import { appendBatch, type Asking, bodyOf, type Entry, entry, eventFor } from './batches.js';

/** Writes a log of deploys and kills, a fleet after the other in turn, in batches. */
export class SimpleLog {
  private readonly fleets = new Map<string, { generation: number; state: FleetState }>();
  private written = 0;

  constructor(private readonly ask: Asking) {}

  async write(count: number, fleets: readonly string[] = ['a', 'b', 'c']): Promise<void> {
    for (let left = count; left > 0; left -= 200) {
      await this.writeBatch(Math.min(left, 200), fleets);
    }
  }

  private async writeBatch(count: number, fleets: readonly string[]): Promise<void> {
    const before = new Map(this.fleets);
    const entries: Entry[] = [];
    for (let i = 0; i < count; i += 1) {
      const fleet = fleets[this.written % fleets.length] ?? '';
      const body = bodyOf(this.nextEvent(fleet));
      const state = evolve(this.fleets.get(fleet)?.state ?? null, body);
      this.written += 1;
      this.fleets.set(fleet, { generation: this.written, state });
      const event = { ...eventFor(body), state };
      entries.push(entry({ [fleet]: before.get(fleet)?.generation ?? 0 }, { events: [event] }));
    }
    const { position, results } = await appendBatch(this.ask, entries);
    if (position !== this.written || results.some(({ status }) => status !== 'appended')) {
      throw new Error(`A batch was not appended: ${JSON.stringify(results)}`);
    }
  }

  private nextEvent(fleet: string): LoraEvent {
    const state = this.fleets.get(fleet)?.state ?? null;
    const current = state && currentVersion(state);
    const version = `v${this.written}`;
    const fact = { fleet, from_version: current, reason: `step ${this.written}`, reference: null };
    if (state === null)
      return {
        ...fact,
        type: 'LoraInitialized',
        adapter_version: version,
        to_version: version,
        enabled: true,
      };
    if (!state.enabled)
      return { ...fact, type: 'LoraEnabled', adapter_version: null, to_version: current, enabled: true };
    if (this.written % 7 === 0)
      return { ...fact, type: 'LoraDisabled', adapter_version: null, to_version: current, enabled: false };
    return { ...fact, type: 'AdapterDeployed', adapter_version: version, to_version: version, enabled: true };
  }
}
