import { readSettings, type Settings, SettingsError } from './config/settings.js';

let settings: Settings | undefined;
try {
  settings = readSettings(process.env);
} catch (error) {
  if (!(error instanceof SettingsError)) throw error;
  for (const problem of error.problems) process.stderr.write(`Bad setting: ${problem}\n`);
  process.exitCode = 2;
}
if (settings) {
  // Loading the service takes most of a second: what is wrong with the settings is said before.
  const { serve } = await import('./serve.js');
  await serve(settings);
}
