import type { Command } from 'commander';

import type { Client } from './client.js';
import type { Terminal } from './terminal.js';

/** What a command works with that asks no service. */
export interface Desk {
  readonly terminal: Terminal;
  /** Nothing but JSON on standard output. */
  readonly json: boolean;
}

/** What every other command works with. */
export interface Session extends Desk {
  readonly client: Client;
  readonly now: () => Date;
  /** Ctrl-C, or SIGTERM. */
  readonly interrupted: AbortSignal;
  /** The options that a repeat of this command needs, to reach the same control plane. */
  readonly urlWords: readonly string[];
}

/** What somebody asks with `loractl <command>`; the result is the exit code. */
export type Act = (session: Session) => Promise<number>;

/** Runs what one command asks, with the options that were given. */
export type Run = (command: Command, act: Act) => Promise<void>;

/** The same for a command that asks no service. */
export type RunOffline = (command: Command, act: (desk: Desk) => Promise<number>) => Promise<void>;
