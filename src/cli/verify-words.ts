import type { Verdict } from '../audit/core/log-verifier.js';
import type { ContinuationVerdict } from '../audit/core/verify-continuation.js';
import { table } from './table.js';
import { counted, printable, versionName } from './text.js';

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

/** Of two exports: what each is, and what the newer one has lost. */
export function continuationLines(verdict: ContinuationVerdict, newer: string, older: string): string[] {
  const { from, lost, why } = verdict;
  const under = (name: string, lines: readonly string[]): string[] => [
    `${printable(name)}:`,
    ...lines.map((line) => `  ${line}`),
  ];
  return [
    ...under(newer, verdictLines(verdict.newer)),
    ...under(older, verdictLines(verdict.older)),
    ...why.map((each) => `CANNOT TELL: ${printable(each)}`),
    ...(from === null ? [] : [`The newer log goes on from position ${from} of the older one.`]),
    ...(lost.events === 0 ? [] : [`LOST there: ${counted(lost.events, 'event')}.`, ...lostLines(lost.first)]),
    ...(lost.events > lost.first.length ? ['  …'] : []),
  ];
}

function lostLines(lost: ContinuationVerdict['lost']['first']): string[] {
  const rows = lost.map(({ position, recorded_at, type, fleet, to_version, actor, reason }) => {
    const version = versionName(to_version);
    return [String(position), ...[recorded_at, type, fleet, version, actor, reason].map(printable)];
  });
  const header = ['position', 'time', 'event', 'fleet', 'version after it', 'by', 'why'];
  return table(header, rows).map((line) => `  ${line}`);
}
