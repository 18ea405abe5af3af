/** What an agent says of its engine. */
export const REPORTED_STATES = [
  'converged',
  'pending',
  'unreachable',
  'conflict',
  'unsupported',
  'advisory',
] as const;

export type ReportedState = (typeof REPORTED_STATES)[number];

/** The engines of a fleet that stand registered, or those that did when a generation was committed. */
export const COUNTED = ['today', 'at-commit'] as const;
export type Counted = (typeof COUNTED)[number];

/** How one engine stands to one generation. */
export interface EngineStanding {
  readonly engine: string;
  /** Null when nothing has been heard of it, or presence was lost since. */
  readonly state: ReportedState | null;
  /** Not heard of for longer than the time to live. */
  readonly lost: boolean;
  /** Since when it has been seen to match the generation; null when it has not. */
  readonly acknowledged_at: string | null;
}

/** What the database knows of one generation of a fleet and its engines. */
export interface Standings {
  readonly generation: number;
  readonly log_id: string;
  readonly is_kill: boolean;
  /** The fleet's newest generation. */
  readonly current: number;
  /** Whether presence has been known for less than one time to live: who is missing may just not have reported yet. */
  readonly young: boolean;
  readonly engines: readonly EngineStanding[];
}

const LISTS = ['pending', 'lost', 'advisory', 'unreachable', 'unsupported'] as const;
type List = (typeof LISTS)[number];

/** Ids that a list shows at most, beside its count. */
export const LIST_MAX = 100;

export interface Convergence extends Readonly<Record<List, string[]>> {
  readonly fleet: string;
  readonly generation: number;
  readonly log_id: string;
  /** True only when every engine counted has been seen to match; null where that cannot be told. */
  readonly converged: boolean | null;
  readonly engines: number;
  readonly acknowledged: number;
  readonly counts: Readonly<Record<List, number>>;
  readonly converged_at: string | null;
  /** The generation that has overtaken this one. */
  readonly superseded_by?: number;
}

/** Whether a generation has arrived on every engine counted, or where it has not. */
export function convergenceOf(fleet: string, standings: Standings): Convergence {
  const { generation, log_id, is_kill, current, young, engines } = standings;
  const superseded = current > generation;
  const found: Record<List, string[]> = {
    pending: [],
    lost: [],
    advisory: [],
    unreachable: [],
    unsupported: [],
  };
  let acknowledged = 0;
  for (const each of engines) {
    const list = superseded ? listOfPast(each) : listOf(each, young);
    if (list === null) acknowledged++;
    else found[list].push(each.engine);
  }
  const unheard = young && !superseded && engines.some(({ state }) => state === null);
  const untold = engines.length === 0 || unheard || (superseded && !is_kill);
  const converged = untold ? null : acknowledged === engines.length;
  const times = engines.map(({ acknowledged_at }) => acknowledged_at ?? '').sort();
  return {
    fleet,
    generation,
    log_id,
    converged,
    engines: engines.length,
    acknowledged,
    ...bounded(found),
    counts: countsOf(found),
    converged_at: converged ? (times.at(-1) ?? null) : null,
    ...(superseded ? { superseded_by: current } : {}),
  };
}

/** @returns null when the engine is seen to match now */
function listOf({ state, lost, acknowledged_at }: EngineStanding, young: boolean): List | null {
  if (state === null) return young ? 'pending' : 'lost';
  if (lost) return 'lost';
  if (state === 'advisory' || state === 'unreachable' || state === 'unsupported') return state;
  return acknowledged_at === null ? 'pending' : null;
}

/** Of a generation that has been overtaken only the acknowledgement tells. */
function listOfPast({ acknowledged_at }: EngineStanding): List | null {
  return acknowledged_at === null ? 'pending' : null;
}

function bounded(found: Readonly<Record<List, readonly string[]>>): Record<List, string[]> {
  return mapLists((list) => found[list].slice(0, LIST_MAX));
}

function countsOf(found: Readonly<Record<List, readonly string[]>>): Record<List, number> {
  return mapLists((list) => found[list].length);
}

function mapLists<T>(value: (list: List) => T): Record<List, T> {
  return Object.fromEntries(LISTS.map((list) => [list, value(list)])) as Record<List, T>;
}
