import { constants, runInThisContext } from 'node:vm';

import type { TestDatabase } from './database.js';
import { type Service, start, type TestApp } from './start.js';

export type { TestApp };

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
