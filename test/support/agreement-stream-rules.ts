import type { Rule } from './agreement-checker.js';
import { isUntrue } from './agreement-read-rules.js';

/**
 * What a stream tells is what the log had; it is new enough when the stream begins; and no engine is ever told of an
 * older state than it had been told of, wherever it connects to.
 */
export const streamsAreTrue: Rule = ({ log, streams }, timeline, { blame, count }) => {
  const told = new Map<string, number>();
  for (const { engine, replica, fleet, sentAt, states } of streams) {
    count('streams');
    const known = timeline.knownBefore(fleet, sentAt);
    if (states[0] && states[0].generation < known)
      blame(
        `stream stale: ${replica} began fleet ${fleet} at ${states[0].generation}, ${known} was known before`,
      );
    states.forEach(({ generation, ...shown }, nth) => {
      count('states streamed');
      const why = isUntrue(log, fleet, generation, shown);
      if (why !== undefined) blame(`stream: ${why}`);
      const before = told.get(engine) ?? 0;
      // A new stream may begin with what is known already.
      if (generation < before || (generation === before && nth > 0))
        blame(
          `stream back: ${engine} was told of fleet ${fleet} at ${before}, then at ${generation} by ${replica}`,
        );
      told.set(engine, Math.max(before, generation));
    });
  }
};

/** At last, every engine knows the newest state of its fleet. */
export const streamsEndAtTheHead: Rule = ({ streams }, timeline, { blame }) => {
  const last = new Map<string, { fleet: string; generation: number }>();
  for (const { engine, fleet, states } of streams) {
    const generation = states.at(-1)?.generation ?? last.get(engine)?.generation ?? 0;
    last.set(engine, { fleet, generation });
  }
  for (const [engine, { fleet, generation }] of last) {
    const head = timeline.ofFleet(fleet).at(-1)?.position ?? 0;
    if (generation !== head)
      blame(`stream behind: ${engine} ended at ${generation}, fleet ${fleet} is at ${head}`);
  }
};
