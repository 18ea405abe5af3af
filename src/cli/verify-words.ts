import type { Verdict } from '../audit/core/verify-log.js';
import { counted, printable } from './text.js';

/** The first line alone says what to do. */
export function verdictLines({ outcome, events, covered, position, why }: Verdict): string[] {
  const reasons = why.map(printable);
  if (outcome === 'altered') {
    const signed = covered === 0 ? '' : ` The first ${counted(covered, 'event')} are as they were signed.`;
    return [`ALTERED at position ${position ?? '?'}: ${reasons.join(' ')}.${signed}`];
  }
  const sound = `${counted(events, 'event')} read: nothing wrong in ${events === 1 ? 'it' : 'them'}.`;
  if (outcome === 'unknown') return ['CANNOT TELL whether it was altered.', ...reasons, sound];
  const later = events - covered;
  return [
    `UNALTERED: ${counted(covered, 'event')} as they were signed.`,
    ...(later === 0
      ? []
      : [`${counted(later, 'event')} after that: sound in themselves, signed by nobody yet.`]),
  ];
}
