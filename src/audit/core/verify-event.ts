import { type EventBody, EVENT_TYPES, SCHEMA_VERSION } from '../../lora/domain/events.js';
import { currentVersion, evolve, type FleetState, STATE_VERSION } from '../../lora/domain/state.js';
import { COPIED, type EventLine, jsonObject, Unreadable } from './export-lines.js';
import { leafHash } from './leaf.js';
import { isSameJson } from './same-json.js';

/** The log is not what it was: where the first difference is, and how it shows. */
export class Altered extends Error {
  override readonly name = 'Altered';

  constructor(
    readonly position: number,
    why: string,
  ) {
    super(why);
  }
}

/** Holds each event of an export against those before it. Keeps one state for each fleet, however long the log is. */
export class Chain {
  /** Of the last event. */
  position = 0;
  private recordedAt = '';
  private readonly states = new Map<string, FleetState>();
  /** Fleets with an event that only a newer version understands, and where the first one stands. */
  readonly underivable = new Map<string, number>();

  /** @param partial only some events are there: positions have gaps, and no state can be derived */
  constructor(private readonly partial: boolean) {}

  /**
   * @returns the leaf of the event
   * @throws Altered, Unreadable
   */
  take(line: EventLine): Buffer {
    const { position, recorded_at, body, columns } = line;
    this.checkPosition(position);
    const leaf = leafOf(line);
    if (recorded_at <= this.recordedAt)
      throw new Altered(
        position,
        `it was recorded at ${recorded_at}, the event before at ${this.recordedAt}`,
      );
    const event = eventOf(position, body);
    if (typeof columns !== 'object' || columns === null)
      throw new Unreadable(`The event at position ${position} has no columns.`);
    for (const name of COPIED) {
      const copied = columns[name] ?? null;
      const original = event[name] ?? null;
      if (copied !== original)
        throw new Altered(position, `its column ${name} is ${text(copied)}, its body says ${text(original)}`);
    }
    if (!this.partial) this.fold(line, event);
    this.position = position;
    this.recordedAt = recorded_at;
    return leaf;
  }

  private checkPosition(position: unknown): void {
    if (!Number.isSafeInteger(position)) throw new Unreadable('An event has no position.');
    const next = this.position + 1;
    const found = position as number;
    if (found < next) throw new Altered(found, `it stands after position ${this.position}`);
    if (found > next && !this.partial)
      throw new Altered(next, `it is missing: ${found} follows ${this.position}`);
  }

  private fold({ position, state }: EventLine, event: EventBody): void {
    const { fleet } = event;
    const before = this.states.get(fleet) ?? null;
    if (this.underivable.has(fleet)) return;
    if (event.schema_version > SCHEMA_VERSION || versionOf(state) > STATE_VERSION) {
      this.underivable.set(fleet, position);
      return;
    }
    if (!EVENT_TYPES.includes(event.type)) throw new Altered(position, `no event is a ${text(event.type)}`);
    const after = evolve(before, event);
    this.states.set(fleet, after);
    if ((before === null) !== (event.type === 'LoraInitialized'))
      throw new Altered(
        position,
        `fleet ${fleet} begins with one LoraInitialized, and this is ${event.type}`,
      );
    const [from, to] = [before && currentVersion(before), currentVersion(after)];
    if (event.from_version !== from || event.to_version !== to)
      throw new Altered(
        position,
        `it says from ${text(event.from_version)} to ${text(event.to_version)}, the events before make that ` +
          `from ${text(from)} to ${text(to)}`,
      );
    if (state === null)
      throw new Altered(position, `no state of fleet ${fleet} is stored for its place and time`);
    if (!isSameJson(state, after))
      throw new Altered(
        position,
        `the state after it is stored as ${text(state)}, the events make that ${text(after)}`,
      );
  }
}

function leafOf({ position, recorded_at, leaf_hash, body }: EventLine): Buffer {
  if (typeof body !== 'string') throw new Unreadable(`The event at position ${position} has no body.`);
  let leaf: Buffer;
  try {
    leaf = leafHash(position, recorded_at, body);
  } catch {
    throw new Altered(position, `${text(recorded_at)} is not a time of the log`);
  }
  const found = leaf.toString('hex');
  if (found !== leaf_hash)
    throw new Altered(
      position,
      `its leaf is stored as ${text(leaf_hash)}, place, time and body make that ${found}`,
    );
  return leaf;
}

function eventOf(position: number, body: string): EventBody {
  try {
    return jsonObject(body, '') as unknown as EventBody;
  } catch {
    throw new Altered(position, 'its body is not a JSON object');
  }
}

function versionOf(state: unknown): number {
  return (state as FleetState | null)?.state_version ?? 0;
}

const SHOWN = 2000;

/** For people: what somebody has put there can be as long and as deep as they like. */
function text(value: unknown): string {
  if (value === undefined) return 'absent';
  try {
    const json = JSON.stringify(value);
    return json.length > SHOWN ? `${json.slice(0, SHOWN)}…` : json;
  } catch {
    return 'something too deep to be shown';
  }
}
