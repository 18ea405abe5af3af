#!/usr/bin/env node
// Committed, so that `npx loractl` finds it in a checkout and it stays executable whatever a build does.
import { existsSync } from 'node:fs';

const main = new URL('../dist/src/loractl.main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  process.stderr.write('loractl: it is not built yet: npm ci && npm run build first. Nothing was sent.\n');
  process.exitCode = 1;
}
