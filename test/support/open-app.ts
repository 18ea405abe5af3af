import * as service from '../../src/configure-app.js';
import type { TestDatabase } from './database.js';
import { start, type OpenApp } from './start.js';

/**
 * As `startApp`, of modules that are loaded for the test's file alone: for tests that ask the service for one of its
 * classes, or count what it has measured.
 */
export function startOpenApp(env?: Record<string, string>, shared?: TestDatabase): Promise<OpenApp> {
  return start(service, env, shared);
}
