import { randomUUID } from 'node:crypto';

import type { Command } from 'commander';

import { fleetName, generationTag, idempotencyKey, seconds } from './options.js';
import { shellWord } from './text.js';

/** Options that every command has. */
export interface CommandOptions {
  readonly fleet?: string;
  readonly reason?: string;
  readonly reference?: string;
  /** True: for as long as is usual. */
  readonly wait?: true | number;
  readonly key?: string;
  readonly ifMatch?: string;
}

const WAIT_SECONDS = 10;

export function addCommandOptions(command: Command): Command {
  return command
    .option('--fleet <name>', 'the fleet; default: default', fleetName)
    .option('--reason <text>', 'why; everybody will read it')
    .option('--reference <text>', 'a ticket or an alert')
    .option(
      '--wait [seconds]',
      `until it has arrived on the engines, up to ${WAIT_SECONDS} s; 3 if not`,
      seconds,
    )
    .option('--key <key>', 'the Idempotency-Key of a try before, to settle it', idempotencyKey);
}

/** Options of every command but a kill. */
export function addChangeOptions(command: Command): Command {
  const text = 'only if the fleet is at this generation; default: at the one that is seen first';
  return addCommandOptions(command).option('--if-match <tag>', text, generationTag);
}

export function waitOf({ wait }: CommandOptions): number | undefined {
  return wait === true ? WAIT_SECONDS : wait;
}

export function keyOf({ key }: CommandOptions): string {
  return key ?? randomUUID();
}

/** The words that send the very same command again: the service compares all of them. */
export function againWords(
  name: string,
  options: CommandOptions & { readonly all?: true; readonly version?: string; readonly yes?: true },
): string[] {
  const { version, all, fleet, reason, reference, key, ifMatch, yes } = options;
  const flag = (option: string, value: string | undefined): string[] =>
    value === undefined ? [] : [option, shellWord(value)];
  return [
    name,
    ...(version === undefined ? [] : [shellWord(version)]),
    ...(all ? ['--all'] : []),
    ...flag('--fleet', fleet),
    ...flag('--reason', reason),
    ...flag('--reference', reference),
    ...flag('--if-match', ifMatch),
    ...flag('--key', key),
    ...(yes ? ['--yes'] : []),
  ];
}
