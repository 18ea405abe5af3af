import { isLoopback } from './config/loopback.js';
import type { Settings } from './config/settings.js';
import { closeApp, createApp, listen, openLog } from './configure-app.js';
import { reasonOf } from './database/prepare-database.js';
import { Logger } from './logger.js';

const STOP_MS = 4500;

/** Runs the service until a signal ends it, or its start fails: then the process exits. */
export async function serve(settings: Settings): Promise<void> {
  // A full disk, or a reader that has gone, takes the log and not the service.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const logger = new Logger(settings);
  const app = await createApp(settings, logger);

  const aborted = new AbortController();
  let stopping: Promise<void> | undefined;
  const stop = (signal: string): void => {
    logger.log(`${signal}: stopping.`);
    aborted.abort();
    // Whatever still hangs by then would hang for ever.
    setTimeout(() => process.exit(1), STOP_MS).unref();
    stopping ??= closeApp(app).then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error(error);
        process.exit(1);
      },
    );
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop);

  try {
    const url = await listen(app, settings);
    if (settings.access === 'open') {
      const line = `Nobody is asked who calls: whoever reaches ${url} may command. ACCESS_FILE says who may.`;
      if (isLoopback(settings.host)) logger.log(line);
      else logger.warn(line);
    }
    logger.log(`Listening on ${url}; try: curl ${url}/lora/status`);
    await openLog(app, aborted.signal);
    if (!aborted.signal.aborted) logger.log('Ready: this replica takes commands.');
  } catch (error) {
    if (stopping) return;
    logger.fatal(`Cannot start: ${reasonOf(error)}`);
    await closeApp(app).catch(() => undefined);
    process.exit(1);
  }
}
