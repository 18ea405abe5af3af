import type { LoraEvent } from '../lora/domain/events.js';
import { lastBefore, rowAt } from './positions.js';

/** What an auditor can ask the log for; every field narrows, times are RFC 3339. */
export interface EventFilter {
  /** Of these fleets; null is all. */
  readonly fleets: readonly string[] | null;
  readonly type?: LoraEvent['type'];
  readonly actor?: string;
  readonly adapter_version?: string;
  readonly reference?: string;
  /** Recorded at or after. */
  readonly since?: string;
  /** Recorded before. */
  readonly until?: string;
  /** A part of the reason, upper and lower case alike. */
  readonly reason?: string;
}

/**
 * Rows that one page reads at most. A filter that hardly anything matches would else read the whole log for one page:
 * such a page ends early, and says where the next one goes on.
 */
export const ROWS_READ_MAX = 3_000;

/** Filters that an index has in the order of positions, alone or together, the narrowest first. */
const INDEXED = [
  ['reference'],
  ['adapter_version'],
  ['fleets', 'type'],
  ['fleets'],
  ['actor'],
  ['type'],
] as const;
type Indexed = (typeof INDEXED)[number][number];

/** A statement and its parameters. */
export interface Query {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/**
 * A page of the log, newest first: one index leads through it in the order of positions, and what that index does not
 * answer is looked at row by row. Each row also has `readTo`, the position at which the page had read all that it may;
 * null where it was full, or the log ended, before. A page without events is one row without a position.
 * @param before only positions below it
 */
export function historyQuery(filter: EventFilter, before: number | undefined, limit: number): Query {
  const parameters: unknown[] = [];
  const given = (condition: string, value: unknown): string[] =>
    value === undefined ? [] : [condition.replace('$', () => `$${parameters.push(value)}`)];
  const equal: Readonly<Record<Indexed, readonly string[]>> = {
    reference: given('reference = $', filter.reference),
    adapter_version: given('adapter_version = $', filter.adapter_version),
    fleets: (filter.fleets ?? []).flatMap((fleet) => given('fleet = $', fleet)),
    type: given('type = $', filter.type),
    actor: given('actor = $', filter.actor),
  };
  const lead: readonly Indexed[] =
    INDEXED.find((names) => names.every((name) => equal[name].length > 0)) ?? [];
  const ways = lead.reduce<readonly string[]>(
    (before, name) => before.flatMap((way) => equal[name].map((one) => `${way} and ${one}`)),
    ['true'],
  );
  const bounds = [
    ...given('position < $', before),
    ...given(`position > ${lastBefore('$::timestamptz')}`, filter.since),
    ...given(`position <= ${lastBefore('$::timestamptz')}`, filter.until),
  ];
  const rest = [
    ...Object.entries(equal)
      .filter(([name, any]) => any.length > 0 && !lead.some((one) => one === name))
      .map(([, any]) => `(${any.join(' or ')})`),
    ...given('strpos(lower(reason), lower($)) > 0', filter.reason),
  ];
  const all = rest.length === 0;
  const most = all ? limit : ROWS_READ_MAX;
  // Several fleets are several ways. Each in its order and of so many at most, the database merges them as it reads.
  const inOrder = (columns: string): string => `
    select ${columns} from (${ways
      .map(
        (way) => `(select ${columns} from events where ${[way, ...bounds].join(' and ')}
          order by position desc limit ${most})`,
      )
      .join(' union all ')}) way order by position desc`;
  // Positions alone are read from the index that leads. For whole rows the planner would rather walk the log from its
  // end until enough of them match: long, where a fleet or an actor has done nothing of late.
  const read =
    lead.length === 0
      ? `(${inOrder('*')} limit ${most}) place`
      : `(${inOrder('position')} limit ${most}) place cross join lateral ${rowAt('place.position')} read`;
  const found = `
    select place.position, recorded_at, leaf_hash, body from ${read}
    where ${['true', ...rest].join(' and ')} order by place.position desc limit ${limit}`;
  // A page that is full says itself where the next one goes on.
  const last = all
    ? 'select null::bigint as position'
    : `${inOrder('position')} offset ${ROWS_READ_MAX - 1}
       limit (select case when count(*) < ${limit} then 1 else 0 end from found)`;
  const sql = `
    with found as materialized (${found})
    select last.position as "readTo", found.position, found.recorded_at as "recordedAt",
      found.leaf_hash as "leafHash", found.body
    from (values (true)) one left join (${last}) last on true left join found on true
    order by found.position desc`;
  return { sql, parameters };
}
