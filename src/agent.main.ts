import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

import { Agent } from './agent/agent.js';
import { drivers } from './agent/drivers/drivers.js';
import { jsonLog, reasonOf } from './agent/log.js';
import { usage } from './agent/options.js';
import { type AgentSettings, AgentSettingsError, readAgentSettings } from './agent/settings.js';
import { VERSION } from './config/version.js';
import { tokenSource } from './token-source.js';

/** Whatever still hangs by then would hang for ever. */
const STOP_MS = 3_000;

const log = jsonLog((line) => process.stdout.write(line));
// A full disk, or a reader that has gone: to log that would fail too, and so on without an end.
process.stdout.on('error', () => undefined);

async function main(settings: AgentSettings): Promise<void> {
  const { engineKeyFile: keyFile } = settings;
  const driver = drivers[settings.driver]({
    ...settings,
    // Nothing listens there: the driver without an engine asks nobody.
    engineUrl: settings.engineUrl ?? new URL('http://127.0.0.1:9'),
    // Read at each use, so that the key can be changed.
    engineKey: keyFile === undefined ? undefined : () => readFileSync(keyFile, 'utf8').trim(),
  });
  const token = tokenSource(settings.tokenFile, process.env.LORA_TOKEN);
  const { agent, port } = await Agent.start({ settings, driver, log, version: VERSION, token });
  const { fleet, id, driver: kind } = settings;
  log('info', 'agent listens', {
    url: `http://127.0.0.1:${port}`,
    fleet,
    id,
    instance: agent.instance,
    driver: kind,
    version: VERSION,
  });
  let stopping: Promise<void> | undefined;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      log('info', 'agent stops', { signal });
      setTimeout(() => process.exit(1), STOP_MS).unref();
      stopping ??= agent.stop().then(() => process.exit(0));
    });
  }
}

// An engine must not lose its kill-switch to a fault that somebody else's answer has found.
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    log('error', 'unexpected', { event, reason: reasonOf(error) });
  });
}

const args = process.argv.slice(2);
if (args.includes('--help')) {
  process.stdout.write(usage());
} else {
  try {
    await main(readAgentSettings(args, process.env, hostname()));
  } catch (error) {
    if (error instanceof AgentSettingsError) {
      for (const problem of error.problems) process.stderr.write(`Bad setting: ${problem}\n`);
      process.exit(2);
    }
    process.stderr.write(`Cannot start: ${reasonOf(error)}\n`);
    process.exit(1);
  }
}
