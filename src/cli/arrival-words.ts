import type { Convergence } from '../engines/convergence.js';
import { counted, printable } from './text.js';

const LISTS = ['pending', 'lost', 'unreachable', 'unsupported', 'advisory'] as const;

/**
 * How far a state has come on the engines, in short. Null: it could not be asked.
 * @param which engines were counted: ` counted at the commit`; empty where that goes without saying
 */
export function arrivalWords(convergence: Convergence | null, enabled: boolean, which = ''): string {
  if (convergence === null) return 'engines cannot be asked';
  const { engines, acknowledged, converged, superseded_by } = convergence;
  if (engines === 0) return `no engine${which === '' ? ' registered' : which}`;
  const [one, many] = enabled ? ['follows', 'follow'] : ['has let go', 'have let go'];
  if (converged === true) {
    return engines === 1
      ? `the one engine${which} ${one}`
      : `all ${counted(engines, 'engine')}${which} ${many}`;
  }
  if (superseded_by !== undefined) return `overtaken by generation ${superseded_by}`;
  const known = converged === null ? ' (not all heard of yet)' : '';
  return `${acknowledged} of ${counted(engines, 'engine')}${which} ${many}${known}`;
}

/** Which engines it has not reached, by what keeps it: `pending: e-7, e-8 · lost: e-9`. Empty when there is none. */
export function missingWords(convergence: Convergence | null): string {
  if (convergence === null) return '';
  return LISTS.filter((list) => convergence.counts[list] > 0)
    .map((list) => {
      const names = convergence[list].map(printable);
      const more = convergence.counts[list] - names.length;
      return `${list}: ${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
    })
    .join(' · ');
}
