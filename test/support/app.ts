import { constants, runInThisContext } from 'node:vm';

import type { TestDatabase } from './database.js';
import { type OpenApp, type Service, start } from './start.js';

/** Without `get`: the classes that a test imports are not those of a service that was loaded outside. */
export interface TestApp extends Omit<OpenApp, 'app'> {
  readonly app: Pick<OpenApp['app'], 'getHttpServer' | 'getHttpAdapter'>;
}

/**
 * Imports what is built, outside of jest's modules: a process that runs tests loads it once, not for every file anew,
 * which takes longer than most files' tests.
 */
const load = runInThisContext('(url) => import(url)', {
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
}) as (url: string) => Promise<Service>;

export async function startApp(env?: Record<string, string>, shared?: TestDatabase): Promise<TestApp> {
  return start(await load(new URL('../../dist/src/configure-app.js', import.meta.url).href), env, shared);
}
