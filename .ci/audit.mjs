// Fails when a package has a known advisory of level high or critical. Where nobody answers the question it is said
// and passed over: what the registry cannot tell must not keep a change from landing.
import { spawnSync } from 'node:child_process';

const patience = ['--fetch-retries=0', '--fetch-timeout=20000'];
const { stdout } = spawnSync('npm', ['audit', '--json', '--audit-level=high', ...patience], {
  encoding: 'utf8',
  timeout: 60_000,
});

let found;
try {
  found = JSON.parse(stdout).metadata?.vulnerabilities;
} catch {
  // What is no JSON is no answer.
}
if (found === undefined) {
  console.log('npm audit: the registry does not answer; nothing is known of advisories.');
} else {
  const { high = 0, critical = 0 } = found;
  console.log(`npm audit: ${critical} critical, ${high} high.`);
  process.exitCode = high + critical > 0 ? 1 : 0;
}
