import { Command, CommanderError, Option } from 'commander';

import { addAccess } from './access.js';
import { addCheckpoint } from './checkpoint.js';
import { Client } from './client.js';
import { addCompletion } from './completion.js';
import { addDeploy } from './deploy.js';
import { addEnable } from './enable.js';
import { Ended, EXIT } from './ends.js';
import { addEngines } from './engines.js';
import { addExport } from './export.js';
import { addFleets } from './fleets.js';
import { addHistory } from './history.js';
import { addKill } from './kill.js';
import { DEFAULT_URL, seconds, urls } from './options.js';
import { addProof } from './proof.js';
import { addRefusals } from './refusals.js';
import { addRollback } from './rollback.js';
import type { Act, Run, RunOffline } from './session.js';
import { addStatus } from './status.js';
import { addSummary } from './summary.js';
import type { Terminal } from './terminal.js';
import { shellWord } from './text.js';
import { addToken } from './token.js';
import { addVerify } from './verify.js';

export interface Surroundings {
  readonly terminal: Terminal;
  readonly version: string;
  /** `LORA_URL`. */
  readonly defaultUrls: string | undefined;
  /** Where the token comes from when this file is named, or none. Asked, it throws when there is no token there. */
  readonly tokenFrom: (file: string | undefined) => () => string | undefined;
  readonly now: () => Date;
  readonly interrupted: AbortSignal;
}

interface CommonOptions {
  readonly url: readonly URL[];
  readonly tokenFile?: string;
  readonly json?: true;
  readonly timeout: number;
}

const END_OF_HELP = `
Exit codes: 0 done, 1 refused or not done, 2 usage, 3 not arrived on the engines (or not in force), 4 outcome unknown.
Times are in UTC.`;

/** Runs a command line. @returns its exit code */
export async function loractl(words: readonly string[], surroundings: Surroundings): Promise<number> {
  const { terminal } = surroundings;
  let code: number = EXIT.done;
  const run: Run = async (command, act) => {
    code = await endOf(command, act, surroundings);
  };
  const runOffline: RunOffline = async (command, act) => {
    const { json = false } = command.optsWithGlobals<CommonOptions>();
    code = await act({ terminal, json });
  };
  const program = programOf(surroundings, run, runOffline);
  try {
    await program.parseAsync(words, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    // Nobody foresaw this: what was sent may have landed.
    terminal.err(`loractl: failed: ${error instanceof Error ? error.message : String(error)}`);
    return EXIT.unknown;
  }
}

export function programOf(
  { terminal, version, defaultUrls }: Surroundings,
  run: Run,
  runOffline: RunOffline,
): Command {
  const program = new Command('loractl')
    .description('The kill-switch of LoRA adapters, from the command line.')
    .version(version)
    .exitOverride()
    .allowExcessArguments(false)
    .showHelpAfterError(false)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => {
        terminal.out(text.trimEnd());
      },
      writeErr: (text) => {
        terminal.err(text.trimEnd());
      },
      outputError: (text, write) => {
        write(
          `loractl: ${text
            .replace(/^error: /, '')
            .trim()
            .replaceAll('\n', ' ')} Nothing was sent.`,
        );
      },
    })
    .addHelpText('after', END_OF_HELP)
    .addOption(
      new Option(
        '--url <urls>',
        `replicas of the control plane, with commas between; also LORA_URL (default: ${DEFAULT_URL})`,
      ).argParser(urls),
    )
    .option(
      '--token-file <file>',
      'has the token, read at each try; also LORA_TOKEN_FILE, or LORA_TOKEN itself',
    )
    .option('--json', 'one JSON document on standard output and nothing else')
    .option('--timeout <seconds>', 'how long to try', seconds, 10);
  const commands = [addStatus, addKill, addEnable, addRollback, addDeploy];
  const reads = [addHistory, addSummary, addExport, addCheckpoint, addProof, addFleets, addEngines];
  const audits = [addAccess, addRefusals];
  for (const add of [...commands, ...reads, ...audits]) add(program, run);
  addVerify(program, runOffline);
  addToken(program, terminal);
  addCompletion(program, terminal);
  // Begun before this is reached; it stands here to be found.
  program.command('agent').description('run the agent beside an engine (loractl agent --help)');
  program.hook('preAction', () => {
    if (program.opts<Partial<CommonOptions>>().url !== undefined) return;
    program.setOptionValueWithSource('url', givenUrls(program, defaultUrls), 'env');
  });
  return program;
}

/** Read only now, so that a broken LORA_URL does not break `--help`, nor a `--url` that is given. */
function givenUrls(program: Command, defaultUrls: string | undefined): readonly URL[] {
  const given = defaultUrls?.trim();
  try {
    return urls(given === undefined || given === '' ? DEFAULT_URL : given);
  } catch (error) {
    return program.error(`error: LORA_URL is not usable. ${error instanceof Error ? error.message : ''}`);
  }
}

async function endOf(command: Command, act: Act, surroundings: Surroundings): Promise<number> {
  const { terminal, version, now, interrupted, tokenFrom } = surroundings;
  const { url, timeout, tokenFile, json = false } = command.optsWithGlobals<CommonOptions>();
  const token = tokenFrom(tokenFile);
  const client = new Client({
    urls: url,
    token,
    timeoutMs: timeout * 1000,
    userAgent: `loractl/${version}`,
    interrupted,
    progress: (text) => {
      terminal.progress(text);
    },
  });
  const urlText = url.map(({ href }) => href.replace(/\/$/, '')).join(',');
  const fromOption = command.getOptionValueSourceWithGlobals('url') === 'cli';
  const urlWords = [
    ...(fromOption ? ['--url', shellWord(urlText)] : []),
    ...(tokenFile === undefined ? [] : ['--token-file', shellWord(tokenFile)]),
  ];
  try {
    tryToken(token);
    const code = await act({ client, terminal, json, now, interrupted, urlWords });
    const why = await terminal.unwritten();
    if (why === undefined) return code;
    terminal.err(`loractl: standard output did not take all of the answer: ${why}.`);
    // A command stands, whether or not its answer could be shown.
    return client.hasCommanded || code !== EXIT.done ? code : EXIT.refused;
  } catch (error) {
    if (!(error instanceof Ended)) throw error;
    terminal.err(`loractl: ${error.message}`);
    if (json) terminal.out(JSON.stringify({ exit_code: error.code, error: error.message, ...error.more }));
    return error.code;
  } finally {
    terminal.progress('');
  }
}

/** That there is no token is found before anything is sent. */
function tryToken(token: () => string | undefined): void {
  try {
    token();
  } catch (error) {
    throw new Ended(
      EXIT.usage,
      `${error instanceof Error ? error.message : String(error)} Nothing was sent.`,
    );
  }
}
