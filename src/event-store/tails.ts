import { type Histories, type LoggedEvent, remember, REMEMBERED } from '../lora/domain/histories.js';

/** Events of a fleet since a generation. */
interface Tail {
  from: number;
  events: LoggedEvent[];
}

const TAIL_MAX = 1000;

/** Events of fleets whose histories nobody has asked for yet, so that a later answer can be brought up to date. */
export class Tails {
  private readonly tails = new Map<string, Tail>();

  /** Forgets all, and keeps from now on what comes after these generations. */
  beginAnew(generations: Iterable<readonly [fleet: string, generation: number]>): void {
    this.tails.clear();
    for (const [fleet, from] of generations) this.tails.set(fleet, { from, events: [] });
  }

  keep(event: LoggedEvent): void {
    if (!(REMEMBERED as readonly string[]).includes(event.type)) return;
    const tail = this.tails.get(event.fleet);
    if (!tail) return;
    tail.events.push(event);
    if (tail.events.length > TAIL_MAX) this.tails.set(event.fleet, { from: event.position, events: [] });
  }

  /**
   * A fleet's histories as of a generation, brought up to date; from then on its tail is not kept any more.
   * @returns undefined when what came since is not known in whole
   */
  end(fleet: string, generation: number, histories: Histories): Histories | undefined {
    const tail = this.tails.get(fleet);
    if (!tail || generation < tail.from) return undefined;
    this.tails.delete(fleet);
    return tail.events.filter(({ position }) => position > generation).reduce(remember, histories);
  }
}
