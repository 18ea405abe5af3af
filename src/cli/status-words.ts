import type { Convergence, Status } from './answers.js';
import { arrivalWords, missingWords } from './arrival-words.js';
import type { Paint } from './colour.js';
import { byWhom, rollbackWords, servingWords, switchWords, type Told, verbOf } from './state-words.js';
import { table } from './table.js';
import { at as pointOf } from './time-words.js';
import { printable, versionName } from './text.js';

export interface Shown {
  readonly state: Status;
  readonly convergence: Convergence | null;
  readonly disabledBy: Told | undefined;
  /** The time that was asked for, of a state in the past. */
  readonly at: string | undefined;
}

/** A status as people read it: what counts in the first line, the rest below. */
export function statusLines(shown: Shown, now: Date, paint: Paint): string[] {
  const { state, convergence, disabledBy, at } = shown;
  const headline = [switchWords(state, disabledBy, now, paint)];
  if (at === undefined && !state.stale) headline.push(arrivalWords(convergence, state.enabled));
  headline.push(rollbackWords(state));
  const rows = [
    ['fleet', `${state.fleet}, generation ${state.generation} of log ${state.log_id.slice(0, 8)}`],
    ['serves', servingWords(state)],
  ];
  // The first line tells of the last event, or of the one that disabled the fleet.
  const told = state.enabled ? state.updated_at : disabledBy?.recorded_at;
  if (told !== undefined) rows.push(['since', pointOf(told, now)]);
  if (told !== state.updated_at) rows.push(['last', lastWords(state, now)]);
  const missing = missingWords(convergence);
  if (missing !== '') rows.push(['missing', missing]);
  return [...staleWords(state, now, paint), ...pastWords(shown), headline.join(' · '), ...listed(rows)];
}

function listed(rows: readonly (readonly string[])[]): string[] {
  const [header = [], ...rest] = rows;
  return table(header, rest);
}

/** Loud, and before anything else: what follows may be over. */
function staleWords({ stale, as_of }: Status, now: Date, paint: Paint): string[] {
  if (stale !== true) return [];
  const when = as_of == null ? '' : ` since ${pointOf(as_of, now)}`;
  return [paint('yellow', `STALE${when}: the log cannot be asked. This is what was last known:`)];
}

function pastWords({ at, state }: Shown): string[] {
  if (at === undefined) return [];
  const end = state.final === true ? '' : ' (not final: nothing has been recorded since)';
  return [`As of ${printable(at)}${end}:`];
}

/** `disabled 02:14:07Z (3 min ago) by …`; of a change of version also from what to what. */
export function lastWords(state: Status, now: Date): string {
  const histories = [...state.rollback_history, ...state.activation_history];
  const entry = histories.find(({ generation }) => generation === state.generation);
  const change =
    entry === undefined ? '' : ` ${versionName(entry.from_version)} → ${versionName(entry.to_version)}`;
  const by = byWhom(state.last_actor, state.last_reason);
  return `${verbOf(state.last_operation)}${change} ${pointOf(state.updated_at, now)} by ${by}`;
}
