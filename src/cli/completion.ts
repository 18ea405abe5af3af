import { Argument, type Command } from 'commander';

import type { Terminal } from './terminal.js';
import { completionScript } from './completion-script.js';

const SHELLS = ['bash', 'zsh'] as const;

export function addCompletion(program: Command, terminal: Terminal): void {
  program
    .command('completion')
    .description('a script that completes command lines: source <(loractl completion bash)')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action((shell: (typeof SHELLS)[number]) => {
      terminal.out(completionScript(program, shell).trimEnd());
    });
}
