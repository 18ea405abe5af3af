import { answersAreExpected, commandsAreSettled, refusalsRest } from './agreement-command-rules.js';
import type { History } from './agreement-history.js';
import { killsWin, logIsWhole, orderIsReal } from './agreement-log-rules.js';
import { readsAreNewEnough, readsAreTrue, readsNeverGoBack } from './agreement-read-rules.js';
import { streamsAreTrue, streamsEndAtTheHead } from './agreement-stream-rules.js';
import { Timeline } from './agreement-timeline.js';

export interface Verdict {
  /** One line each, beginning with the kind. */
  readonly violations: readonly string[];
  /** What the rules had to look at, counted. */
  readonly checked: Readonly<Record<string, number>>;
}

/** What a rule says of a history. */
export interface Report {
  readonly blame: (what: string) => void;
  readonly count: (what: string) => void;
}

export type Rule = (history: History, timeline: Timeline, report: Report) => void;

const RULES: readonly Rule[] = [
  logIsWhole,
  orderIsReal,
  killsWin,
  answersAreExpected,
  commandsAreSettled,
  refusalsRest,
  readsAreTrue,
  readsAreNewEnough,
  readsNeverGoBack,
  streamsAreTrue,
  streamsEndAtTheHead,
];

/** Judges what clients saw against the log as it is at the end. Pure. */
export function check(history: History): Verdict {
  const violations: string[] = [];
  const checked: Record<string, number> = {};
  const report: Report = {
    blame: (what) => violations.push(what),
    count: (what) => (checked[what] = (checked[what] ?? 0) + 1),
  };
  const timeline = new Timeline(history);
  for (const rule of RULES) rule(history, timeline, report);
  return { violations, checked };
}
