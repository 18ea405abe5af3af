import type { Command } from 'commander';

import type { Status } from './answers.js';
import { change } from './change.js';
import { addChangeOptions, type CommandOptions } from './command-options.js';
import type { Run, Session } from './session.js';
import { versionName } from './text.js';

export function addRollback(program: Command, run: Run): void {
  addChangeOptions(program.command('rollback'))
    .description('go back one version, or to the one given')
    .argument('[version]', 'default: one version back from the state that is shown')
    .action((version: string | undefined, options: CommandOptions, command: Command) =>
      run(command, (session) =>
        change(session, {
          name: 'rollback',
          version,
          options,
          before: (seen) => {
            show(session, seen, version);
          },
        }),
      ),
    );
}

function show({ terminal }: Session, seen: Status, version: string | undefined): void {
  const from = seen.enabled ? seen.active_adapter_version : seen.resume_adapter_version;
  const to = version ?? seen.rollback_target;
  terminal.err(`Rolling back ${versionName(from)} → ${versionName(to)}, from generation ${seen.generation}.`);
}
