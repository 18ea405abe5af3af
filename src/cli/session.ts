import type { Command } from 'commander';

import type { Client } from './client.js';
import type { Terminal } from './terminal.js';

/** What every command works with. */
export interface Session {
  readonly client: Client;
  readonly terminal: Terminal;
  /** Nothing but JSON on standard output. */
  readonly json: boolean;
  readonly now: () => Date;
  /** Ctrl-C. */
  readonly interrupted: AbortSignal;
  /** The options that a repeat of this command needs, to reach the same control plane. */
  readonly urlWords: readonly string[];
}

/** What somebody asks with `loractl <command>`; the result is the exit code. */
export type Act = (session: Session) => Promise<number>;

/** Runs what one command asks, with the options that were given. */
export type Run = (command: Command, act: Act) => Promise<void>;
