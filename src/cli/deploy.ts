import type { Command } from 'commander';

import { change } from './change.js';
import { addChangeOptions, type CommandOptions } from './command-options.js';
import type { Run } from './session.js';

export function addDeploy(program: Command, run: Run): void {
  addChangeOptions(program.command('deploy'))
    .description('make a version active; refused while LoRA is disabled')
    .argument('<version>', 'the version, such as v1.2')
    .action((version: string, options: CommandOptions, command: Command) =>
      run(command, (session) =>
        change(session, { name: 'deploy', version, options, before: () => undefined }),
      ),
    );
}
