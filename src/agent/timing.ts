import type { BackOff } from './back-off.js';

/** Times that are no matter of taste: a test gives shorter ones. All in milliseconds. */
export interface Timing {
  /** Two heartbeats of the control plane: a stream that is silent for longer is dead. */
  readonly silenceMs: number;
  /** For an answer to begin. */
  readonly openMs: number;
  /** How long a waiting read waits. */
  readonly waitMs: number;
  /** Reads that do not wait, although asked to, are no closer than this. */
  readonly pollMs: number;
  /** How long to live on waiting reads before a stream is tried again. */
  readonly streamAgainMs: number;
  /** A connection that lasted so long was a good one. */
  readonly steadyMs: number;
  readonly backOff: BackOff;
  /** The pace of the reconciler after an act of which nobody knows the outcome. */
  readonly quickMs: number;
  /** For an engine to say what it serves. */
  readonly listMs: number;
  /** How soon an engine that did not answer is asked again. */
  readonly returnMs: number;
  /** The local hand brake and the lease are looked at so often. */
  readonly tickMs: number;
  readonly reportMs: number;
  /** A report waits so long for the disk. */
  readonly diskMs: number;
  /** An orderly stop takes no longer. */
  readonly stopMs: number;
  /** A confirmation alone is written to disk no more often. */
  readonly saveMs: number;
}

export const TIMING: Timing = {
  silenceMs: 30_000,
  openMs: 5_000,
  waitMs: 30_000,
  pollMs: 1_000,
  streamAgainMs: 60_000,
  steadyMs: 5_000,
  backOff: { firstMs: 100, maxMs: 5_000 },
  quickMs: 250,
  listMs: 5_000,
  returnMs: 1_000,
  tickMs: 250,
  reportMs: 5_000,
  diskMs: 1_000,
  stopMs: 2_000,
  saveMs: 5_000,
};
