import { createHash, randomBytes } from 'node:crypto';

import { type Command, InvalidArgumentError, Option } from 'commander';

import type { TokenEntry } from '../access/access-entries.js';
import { EXIT } from './ends.js';
import { fleetName } from './options.js';
import type { Terminal } from './terminal.js';

type Role = TokenEntry['role'];

/** What each role is for, in the order of the help. */
const ROLES: Readonly<Record<Role, string>> = {
  viewer: 'reads',
  engine: 'the agent beside an engine',
  deployer: 'reads, deploys',
  operator: 'reads, deploys, kills, enables, rolls back, makes fleets',
  auditor: 'reads, exports, sees who could and who tried',
  breaker: 'kills, and sees the status',
  admin: 'everything',
};

/** So that a token is recognised where it should not be: in a log, in a repository. */
const PREFIX = 'lora_';
const SECRET_BYTES = 32;

interface TokenOptions {
  readonly name: string;
  readonly role: Role;
  readonly fleet?: readonly string[];
  readonly expires?: string;
}

export function addToken(program: Command, terminal: Terminal): void {
  const help = Object.entries(ROLES).map(([role, what]) => `  ${role.padEnd(9)} ${what}`);
  program
    .command('token')
    .description('tokens for ACCESS_FILE')
    .command('create')
    .description('a new token, shown once, and its line for the file; asks no service')
    .requiredOption('--name <name>', 'whose it is: events name it as token:<name>', tokenName)
    .addOption(new Option('--role <role>').choices(Object.keys(ROLES)).makeOptionMandatory())
    .option('--fleet <name>', 'only for this fleet; may be given again; default: all', addFleet)
    .option('--expires <time>', 'good until then, such as 2027-01-31T00:00:00Z', time)
    .addHelpText('after', `\nRoles:\n${help.join('\n')}`)
    .action((options: TokenOptions) => {
      create(options, terminal, program.opts<{ json?: true }>().json ?? false);
    });
}

function create({ name, role, fleet, expires }: TokenOptions, terminal: Terminal, json: boolean): number {
  const token = PREFIX + randomBytes(SECRET_BYTES).toString('base64url');
  const entry: TokenEntry = {
    name,
    role,
    fleets: fleet ?? ['*'],
    sha256: createHash('sha256').update(token).digest('hex'),
    ...(expires === undefined ? {} : { expires_at: expires }),
  };
  if (json) {
    terminal.out(JSON.stringify({ token, entry }));
  } else {
    terminal.out(`The token, shown this once: ${token}`);
    terminal.out(`Its line in "tokens" of the access file: ${JSON.stringify(entry)}`);
  }
  return EXIT.done;
}

function tokenName(text: string): string {
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(text)) {
    throw new InvalidArgumentError('It must be lower-case letters, digits, dots, underscores and hyphens.');
  }
  return text;
}

function addFleet(text: string, before: readonly string[] = []): readonly string[] {
  return [...new Set([...before, fleetName(text)])];
}

function time(text: string): string {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) || Number.isNaN(Date.parse(text))) {
    throw new InvalidArgumentError('It must be a time such as 2027-01-31T00:00:00Z.');
  }
  if (Date.parse(text) <= Date.now()) throw new InvalidArgumentError('That time has passed.');
  return text;
}
