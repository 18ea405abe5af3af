import { Injectable } from '@nestjs/common';

import { Database } from '../database/database.js';
import { LogUnavailable } from '../lora/domain/errors.js';
import type { LogPart } from './history-rows.js';
import { lastBefore } from './positions.js';
import { ask } from './unavailable.js';

/** Events that are counted at a time: a tenth of a second. */
const STEP = 5000;
const PATIENCE_MS = 5000;

/** Tallies that follow the log: counts it, and reads summaries from what is counted. */
@Injectable()
export class Tallies {
  constructor(private readonly database: Database) {}

  /** Counts the next events of the log. @returns how many are left */
  async count(): Promise<number> {
    const [row] = await ask(() =>
      this.database.dataSource.query<{ left: number }[]>('select tally_log($1) as left', [STEP]),
    );
    return row?.left ?? 0;
  }

  /**
   * Has all counted that the log holds when this is called.
   * @throws LogUnavailable when that takes too long, with how far it is: asked again, it goes on from there
   */
  async catchUp(patienceMs = PATIENCE_MS): Promise<void> {
    const begin = performance.now();
    for (let left = await this.count(); left > 0; left = await this.count()) {
      if (performance.now() - begin <= patienceMs) continue;
      const { tallied, events } = await this.progress();
      const progress = `tallied ${tallied} of ${events} events`;
      throw new LogUnavailable(`The log is still being counted: ${progress}. Ask again.`);
    }
  }

  private async progress(): Promise<{ readonly tallied: number; readonly events: number }> {
    const [row] = await ask(() =>
      this.database.dataSource.query<{ tallied: number; events: number }[]>(PROGRESS),
    );
    if (row === undefined) throw new Error('The tallies have no head.');
    return row;
  }

  /** @param before kills at positions below it; null: from the newest on */
  async read({ since, until, fleets }: LogPart, before: number | null, limit: number): Promise<Tallied> {
    const kills = fleets === null ? KILLS : KILLS_OF_FLEETS;
    const parameters = [since, until, fleets, before, limit];
    const [row] = await ask(() => this.database.dataSource.query<Tallied[]>(tallied(kills), parameters));
    if (row === undefined) throw new Error('The tallies have no head.');
    return row;
  }
}

const PROGRESS = 'select t.position as tallied, h.position as events from tally_head t cross join log_head h';

/** Events of one type, one fleet, or one actor. */
export interface Counted {
  readonly type: string | null;
  readonly fleet: string | null;
  readonly actor: string | null;
  readonly events: number;
}

/** An event that turned `enabled` off. Durations are seconds; null where the end has not come. */
export interface Kill {
  readonly position: number;
  readonly recorded_at: string;
  readonly fleet: string;
  readonly actor: string;
  readonly reason: string;
  readonly reference: string | null;
  readonly enabled_again_at: string | null;
  readonly disabled_seconds: number | null;
  /** To the last acknowledgement of the engines that were registered; null where one is missing, or there was none. */
  readonly acknowledged_seconds: number | null;
}

/** A part of the log, all as of one moment. */
export interface Tallied {
  readonly counts: readonly Counted[];
  /** By name; only fleets that stood disabled. */
  readonly disabled: readonly { readonly fleet: string; readonly seconds: number }[];
  /** Newest first. */
  readonly kills: readonly Kill[];
}

/**
 * The spells of a fleet after one position up to another, newest first. Fleet and position are compared as one, so that
 * the index over both is the only one that serves: by position alone a fleet that is rarely disabled is a long search.
 */
const spellsOf = (fleet: string, after: string, upTo: string): string => `
  from disabled_spells s
  where (s.fleet, s.position) > (${fleet}, ${after}) and (s.fleet, s.position) <= (${fleet}, ${upTo})`;
const NEWEST_FIRST = 'order by s.fleet desc, s.position desc';

/** A fleet that was made disabled was not killed. */
const KILLED = `(select e.type from events e where e.position = s.position) = 'LoraDisabled'`;
const ENDLESS = String(2 ** 53);
const LAST = 'least(b.last, $4::bigint - 1)';

const KILLS = `
  select s.* from disabled_spells s
  where ${KILLED} and s.position > b.first and s.position <= ${LAST} order by s.position desc limit $5`;

/** Of a few fleets: the newest of each, and of these the newest. */
const KILLS_OF_FLEETS = `
  select mine.* from unnest($3::text[]) as asked(fleet) cross join lateral (
    select s.* ${spellsOf('asked.fleet', 'b.first', LAST)} and ${KILLED} ${NEWEST_FIRST} limit $5
  ) mine
  order by mine.position desc limit $5`;

/** How many events of a kind there were up to a position. */
const upTo = (position: string): string => `coalesce((
  select t.events from event_tallies t where t.kind = k.kind and t.position <= ${position} order by t.position desc limit 1
), 0)`;

/** How long a fleet had stood disabled at a time, by the spells up to a position. */
const disabledUntil = (position: string, time: string): string => `coalesce((
  select s.disabled_before + greatest(least(s.ended_at, ${time}) - s.began_at, interval '0')
  ${spellsOf('f.fleet', '0', position)} ${NEWEST_FIRST} limit 1
), interval '0')`;

/** To the millisecond: more digits would claim what two clocks' readings do not hold. */
const seconds = (interval: string): string => `round(extract(epoch from ${interval}), 3)::float8`;

/** $1 since, $2 until, $3 fleets, $4 kills before a position, $5 kills at most. */
const tallied = (kills: string): string => `
  with bounds as materialized (
    select ${lastBefore('$1::timestamptz')} as first,
      least(h.position, ${lastBefore("coalesce($2::timestamptz, 'infinity')")}) as last,
      least($1::timestamptz, clock_timestamp()) as since,
      least($2::timestamptz, clock_timestamp()) as until
    from tally_head h where h.only_row
  ), counted as materialized (
    select k.type, k.fleet, k.actor, ${upTo('b.last')} - ${upTo('b.first')} as events
    from event_kinds k cross join bounds b where $3::text[] is null or k.fleet = any ($3)
  ), disabled as materialized (
    select f.fleet, ${disabledUntil('b.last', 'b.until')} - ${disabledUntil('b.first', 'b.since')} as lasted
    from (select distinct fleet from event_kinds) f cross join bounds b
    where $3::text[] is null or f.fleet = any ($3)
  ), killed as materialized (
    select k.* from bounds b cross join lateral (${kills}) k
  )
  select
    coalesce((select jsonb_agg(to_jsonb(c)) from (
      select type, fleet, actor, sum(events) as events from counted where events > 0
      group by grouping sets ((type), (fleet), (actor))
    ) c), '[]') as counts,
    coalesce((select jsonb_agg(jsonb_build_object('fleet', fleet,
      'seconds', ${seconds('lasted')}) order by fleet) from disabled where lasted > interval '0'), '[]') as disabled,
    coalesce((select jsonb_agg(jsonb_build_object('position', s.position, 'recorded_at', rfc3339(s.began_at),
      'fleet', s.fleet, 'actor', e.actor, 'reason', e.reason, 'reference', e.reference,
      'enabled_again_at', rfc3339(s.ended_at),
      'disabled_seconds', ${seconds('s.ended_at - s.began_at')},
      'acknowledged_seconds', ${seconds('k.last_at - s.began_at')}) order by s.position desc)
      from killed s join events e using (position)
      left join lateral (
        select max(a.acknowledged_at) as last_at from kill_rolls r
        join kill_acknowledgements a on a.log_id = r.log_id and a.generation = r.generation and a.engine = any (r.engines)
        where r.generation = s.position
          and a.acknowledged_at < coalesce((select n.recorded_at from events n
            where (n.fleet, n.position) > (s.fleet, s.position) and (n.fleet, n.position) < (s.fleet, ${ENDLESS})
            order by n.fleet, n.position limit 1), 'infinity')
          and not exists (select from log_adoptions o where o.log_id = r.log_id and o.adopted_at > r.killed_at)
        group by r.log_id, r.engines having count(*) = cardinality(r.engines)
        order by last_at limit 1
      ) k on true
    ), '[]') as kills
`;
