import type { LoggerService } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';

import { readSettings } from '../../src/config/settings.js';
import { createDatabase, type TestDatabase } from './database.js';
import { Api } from './http.js';

export type Service = typeof import('../../src/configure-app.js');

/** The whole service inside the test's process, on a database of its own. */
export interface OpenApp {
  readonly app: NestExpressApplication;
  readonly api: Api;
  readonly database: TestDatabase;
  /** What it has logged, a line each. */
  readonly logged: readonly string[];
  close(): Promise<void>;
}

/** Of these modules, on a database of its own or one that it shares. */
export async function start(
  { createApp, listen, openLog, closeApp }: Service,
  env: Record<string, string> = {},
  shared?: TestDatabase,
): Promise<OpenApp> {
  const database = shared ?? (await createDatabase());
  const logged: string[] = [];
  const take = (message: unknown): void => {
    logged.push(String(message));
  };
  const logger: LoggerService = { log: take, warn: take, error: take, fatal: take };
  const settings = readSettings({ PORT: '0', DATABASE_URL: database.url, ...env });
  const app = await createApp(settings, logger);
  const url = await listen(app, settings);
  await openLog(app, new AbortController().signal);
  return {
    app,
    api: new Api(url),
    database,
    logged,
    close: async () => {
      await closeApp(app);
      if (!shared) await database.drop();
    },
  };
}
