import type { Convergence, KilledFleets, StateView } from './answers.js';
import { arrivedWords } from './arrival.js';
import type { Paint } from './colour.js';
import { byWhom, lastOf, servingWords, switchWords, verbOf } from './state-words.js';
import { table } from './table.js';
import { counted, printable } from './text.js';

export interface Killed {
  readonly fleets: KilledFleets['fleets'];
  /** In the order of the fleets; undefined when nobody waited for it. */
  readonly convergences: readonly (Convergence | null)[] | undefined;
  /** Not all fleets there are. */
  readonly partial: boolean;
  /** Of the kill as a whole. */
  readonly notice: string | undefined;
}

/** What a kill did, in lines. */
export function killedLines(
  { fleets, convergences, partial, notice }: Killed,
  now: Date,
  paint: Paint,
): string[] {
  const arrived = (index: number): string =>
    convergences === undefined ? '' : arrivedWords(convergences[index] ?? null, false);
  const [first] = fleets;
  if (first === undefined) return ['There is no fleet.'];
  // A part of the fleets never looks like the one there is.
  if (fleets.length === 1 && !partial) {
    const parts = [switchWords(first, lastOf(first), now, paint), arrived(0), servingWords(first)];
    return [
      parts.filter((part) => part !== '').join(' · '),
      ...noticeLines(first.notice),
      ...noticeLines(notice),
    ];
  }
  const scope = partial ? ' that you may act on (not all there are)' : '';
  const rows = fleets.map((state, index) => [
    state.fleet,
    String(state.generation),
    servingWords(state),
    [arrived(index), printable(state.notice ?? '')].filter((text) => text !== '').join(' · '),
  ]);
  return [
    `${paint('red', 'DISABLED')}: ${counted(fleets.length, 'fleet')}${scope}`,
    ...table(['FLEET', 'GENERATION', 'SERVES', ''], rows),
    ...noticeLines(notice),
  ];
}

export function noticeLines(notice: string | undefined): string[] {
  return notice === undefined ? [] : [`notice: ${printable(notice)}`];
}

/**
 * A kill that landed once and is no longer in force.
 * @param lifted the fleets that are enabled again, as they are now; undefined where that cannot be asked
 */
export function overtakenLine(lifted: readonly (StateView | undefined)[]): string {
  const parts = lifted.map((state) =>
    state === undefined
      ? 'a fleet that cannot be asked now has moved on'
      : `fleet ${state.fleet} was ${verbOf(state.last_operation)} by ${byWhom(state.last_actor, state.last_reason)}`,
  );
  return `NOT IN FORCE: this kill landed before, but ${parts.join('; ')} since. To kill again, leave --key out.`;
}
