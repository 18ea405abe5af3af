import { isDeepStrictEqual } from 'node:util';

import type pg from 'pg';

import { type EventBody, SCHEMA_VERSION } from '../lora/domain/events.js';
import { evolve, type FleetState, initialState, STATE_VERSION } from '../lora/domain/state.js';

/** The projection could be neither compared nor rebuilt, and was left as it is. */
export class ProjectionError extends Error {
  override readonly name = 'ProjectionError';
}

export interface ProjectionOptions {
  /** Gets a line every `progressEvery` events, and for whatever takes long. */
  say(line: string): void;
  /** Stops the work between two pages. */
  readonly signal?: AbortSignal;
  /** Events read at a time. */
  readonly pageSize?: number;
  readonly progressEvery?: number;
}

/** How the rows that are there differ from what the log says. */
export interface Comparison {
  readonly events: number;
  readonly fleets: number;
  readonly differences: number;
  /** The first of them, a sentence each. */
  readonly examples: readonly string[];
}

const EXAMPLES = 10;

/**
 * Folds the log up to its present head and compares every row of fleet_states with it. Reads page by page without a
 * lock or a long snapshot, so writers and readers go on; a row that is written meanwhile comes with its event.
 * @param client the owner, or any other role that may read the log
 * @throws ProjectionError when a newer version of the service wrote the log, or the log has a gap
 */
export async function verifyProjection(client: pg.Client, options: ProjectionOptions): Promise<Comparison> {
  const head = await headPosition(client);
  const fold = new Fold(client, options);
  while (fold.position < head) await fold.nextPage(head);
  await findSuperfluous(client, fold, options);
  return fold.comparison;
}

/** @throws ProjectionError when the database holds no log */
export async function headPosition(client: pg.Client): Promise<number> {
  const { rows: tables } = await client.query("select from pg_class where oid = to_regclass('log_head')");
  if (tables.length === 0) throw new ProjectionError('This database holds no log: start the service first.');
  const { rows } = await client.query<{ position: string }>('select position from log_head');
  return Number(rows[0]?.position);
}

/** An event's position and the state that it made. */
export interface FoldedEvent {
  readonly position: number;
  readonly state: FleetState;
}

interface PageRow {
  readonly position: string;
  readonly recorded_at: string;
  readonly body: string;
  readonly stored_at: string | null;
  readonly stored: FleetState | null;
}

/** The log folded from its start to `position`. Keeps one state for each fleet, however long the log is. */
export class Fold {
  position = 0;
  readonly pageSize: number;
  private readonly progressEvery: number;
  private readonly states = new Map<string, FleetState>();
  private readonly examples: string[] = [];
  private differences = 0;

  constructor(
    private readonly client: pg.Client,
    private readonly options: ProjectionOptions,
  ) {
    this.pageSize = options.pageSize ?? 1000;
    this.progressEvery = options.progressEvery ?? 100_000;
  }

  get comparison(): Comparison {
    const { position: events, differences, examples } = this;
    return { events, fleets: this.states.size, differences, examples };
  }

  /** Folds the next page of the events up to `head`, and compares each with its row. */
  async nextPage(head: number): Promise<FoldedEvent[]> {
    this.options.signal?.throwIfAborted();
    const { rows } = await this.client.query<PageRow>(PAGE, [this.position, head, this.pageSize]);
    if (rows.length === 0)
      throw new ProjectionError(`The log ends at ${this.position}, but its head says ${head}.`);
    return rows.map((row) => this.take(row));
  }

  differs(fleet: string, generation: number, how: string): void {
    this.differences += 1;
    if (this.examples.length < EXAMPLES)
      this.examples.push(`Fleet ${fleet}, generation ${generation}: ${how}.`);
  }

  /** @param count how many of `what` are done */
  progress(count: number, what: string): void {
    if (count % this.progressEvery === 0) this.options.say(`${count.toLocaleString('en')} ${what}`);
  }

  private take(row: PageRow): FoldedEvent {
    const position = Number(row.position);
    if (position !== this.position + 1)
      throw new ProjectionError(`The log has a gap: position ${position} follows ${this.position}.`);
    const event = JSON.parse(row.body) as EventBody;
    refuseNewer(event, row);
    const state = evolve(this.states.get(event.fleet) ?? initialState, event);
    this.states.set(event.fleet, state);
    this.position = position;
    const how = differenceOf(row, state);
    if (how !== undefined) this.differs(event.fleet, position, how);
    this.progress(position, 'events folded');
    return { position, state };
  }
}

/** Events, each with the row that it made. */
const PAGE = `
  select e.position, rfc3339(e.recorded_at) as recorded_at, e.body,
    rfc3339(s.recorded_at) as stored_at, s.state as stored
  from (
    select position, recorded_at, fleet, body from events
    where position > $1 and position <= $2 order by position limit $3
  ) e
  left join fleet_states s on s.fleet = e.fleet and s.generation = e.position
  order by e.position
`;

/** What this version would make of the rows of a newer one is not what they say. */
function refuseNewer(event: EventBody, { position, stored }: PageRow): void {
  const refuse = (what: string, version: number, known: number): void => {
    if (version <= known) return;
    throw new ProjectionError(
      `The ${what} of fleet ${event.fleet} at position ${position} is of version ${version}, this service knows ` +
        `version ${known}: use the newer service that wrote it.`,
    );
  };
  refuse('event', event.schema_version, SCHEMA_VERSION);
  if (stored !== null) refuse('state', stored.state_version, STATE_VERSION);
}

function differenceOf({ stored, stored_at, recorded_at }: PageRow, folded: FleetState): string | undefined {
  if (stored === null || stored_at === null) return 'the row is missing';
  if (stored_at !== recorded_at) return `recorded_at is ${stored_at}, the log says ${recorded_at}`;
  if (isDeepStrictEqual(stored, folded)) return undefined;
  // Only the members that differ: a trail may be long.
  const [found, wanted] = [stored, folded].map((state) => new Map<string, unknown>(Object.entries(state)));
  const text = (value: unknown): string => (value === undefined ? 'absent' : JSON.stringify(value));
  return [...new Set(Object.keys({ ...folded, ...stored }))]
    .filter((member) => !isDeepStrictEqual(found?.get(member), wanted?.get(member)))
    .map((member) => `${member} is ${text(found?.get(member))}, the log says ${text(wanted?.get(member))}`)
    .join('; ');
}

interface RowKey {
  readonly fleet: string;
  readonly generation: string;
  readonly superfluous: boolean;
}

/** Finds rows that no event made. A row and its event commit together, so one statement sees both or neither. */
async function findSuperfluous(client: pg.Client, fold: Fold, { signal }: ProjectionOptions): Promise<void> {
  const pageAfter = async ({ fleet, generation }: Omit<RowKey, 'superfluous'>): Promise<RowKey[]> =>
    (await client.query<RowKey>(ROWS, [fleet, generation, fold.pageSize])).rows;
  let seen = 0;
  let page = await pageAfter({ fleet: '', generation: '0' });
  for (let last = page.at(-1); last !== undefined; last = page.at(-1)) {
    for (const { fleet, generation, superfluous } of page) {
      if (superfluous) fold.differs(fleet, Number(generation), 'the log has no such event');
      fold.progress((seen += 1), 'rows looked up in the log');
    }
    signal?.throwIfAborted();
    page = await pageAfter(last);
  }
}

const ROWS = `
  select s.fleet, s.generation,
    not exists (select from events e where e.position = s.generation and e.fleet = s.fleet) as superfluous
  from fleet_states s
  where (s.fleet, s.generation) > ($1, $2)
  order by s.fleet, s.generation
  limit $3
`;
