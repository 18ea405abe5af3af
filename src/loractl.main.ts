#!/usr/bin/env node
import { loractl } from './cli/program.js';
import { terminalOf } from './cli/terminal.js';
import { VERSION } from './config/version.js';
import { tokenSource } from './token-source.js';

const { stdin, stdout, stderr, env, argv } = process;

if (argv[2] === 'agent') {
  // A process of its own kind, with options of its own.
  argv.splice(2, 1);
  await import('./agent.main.js');
} else {
  const interruption = new AbortController();
  // `timeout` and supervisors send SIGTERM. A second Ctrl-C ends it at once.
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      interruption.abort();
    });
  }
  process.exitCode = await loractl(argv.slice(2), {
    terminal: terminalOf({ stdin, stdout, stderr, env }),
    version: VERSION,
    defaultUrls: env.LORA_URL,
    tokenFrom: (file) => tokenSource(file ?? env.LORA_TOKEN_FILE, env.LORA_TOKEN),
    now: () => new Date(),
    interrupted: interruption.signal,
  });
}
