import type { Command } from 'commander';

import type { Status } from './answers.js';
import { change } from './change.js';
import { addChangeOptions, type CommandOptions } from './command-options.js';
import { Ended, EXIT } from './ends.js';
import type { Run, Session } from './session.js';
import { switchWords } from './state-words.js';
import { lastWords } from './status-words.js';
import { versionName } from './text.js';

interface EnableOptions extends CommandOptions {
  readonly yes?: true;
}

export function addEnable(program: Command, run: Run): void {
  addChangeOptions(program.command('enable'))
    .description('turn LoRA on again')
    .argument('[version]', 'the version to bring; default: the one to resume')
    .option('-y, --yes', 'do not ask')
    .action((version: string | undefined, options: EnableOptions, command: Command) =>
      run(command, (session) =>
        change(session, {
          name: 'enable',
          version,
          options,
          before: (seen) => (options.yes ? undefined : confirm(session, seen, version)),
        }),
      ),
    );
}

/** A kill is lifted by somebody who has read who pressed it and why. Scripts are not asked. */
async function confirm(session: Session, seen: Status, version: string | undefined): Promise<void> {
  const { terminal, interrupted, now } = session;
  if (!terminal.isInteractive) return;
  const brings = version ?? (seen.enabled ? seen.active_adapter_version : seen.resume_adapter_version);
  const last = seen.enabled ? '' : ` (${lastWords(seen, now())})`;
  terminal.err(`${switchWords(seen, undefined, now(), terminal.paint)}${last}`);
  const typed = await terminal.ask(
    `Enable fleet ${seen.fleet} with ${versionName(brings)}? [y/N] `,
    interrupted,
  );
  if (!/^y(es)?$/i.test(typed.trim())) {
    throw new Ended(EXIT.refused, 'not done: not confirmed. Nothing was sent.', { outcome: 'none' });
  }
}
