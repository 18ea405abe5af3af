// npm run bench: see README.md beside this file.
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';

import { arrival } from './arrival.mjs';
import { commands, kill } from './commands.mjs';
import { growth } from './growth.mjs';
import { table } from './measure.mjs';
import { news } from './news.mjs';
import { spread, status } from './reads.mjs';
import { Stage } from './stage.mjs';
import { verify } from './verify.mjs';

const PARTS = { kill, commands, status, spread, news, arrival, growth, verify };
const LONGEST_MS = 15 * 60_000;

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: Object.keys(PARTS) },
    profile: { type: 'string' },
  },
});
const unknown = options.only.find((name) => !(name in PARTS));
if (unknown !== undefined) {
  console.error(`There is no part ${unknown}: --only takes ${Object.keys(PARTS).join(', ')}.`);
  process.exit(2);
}

const stage = new Stage(options.profile);
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop(`Stopped by ${signal}.`));
setTimeout(() => stop(`Stopped after ${LONGEST_MS / 60_000} minutes.`), LONGEST_MS).unref();

const begin = Date.now();
const rows = [];
const failures = [];
try {
  await stage.open();
  await stage.database('young');
  for (const [name, part] of Object.entries(PARTS)) {
    if (!options.only.includes(name)) continue;
    const started = Date.now();
    try {
      const say = (line) => console.log(`  ${line}`);
      for await (const row of part(stage, { quick: options.quick, say })) rows.push(row);
    } catch (error) {
      failures.push(`${name}: ${error.message}`);
      console.error(error);
    }
    console.log(`${name} took ${((Date.now() - started) / 1000).toFixed(1)} s`);
  }
  await report();
} finally {
  await stage.close();
}
process.exit(failures.length > 0 ? 1 : 0);

async function report() {
  const versions = await stage.asOwner('young', async (client) => {
    const { rows } = await client.query(`select current_setting('server_version') as version`);
    return { node: process.version, postgresql: rows[0].version };
  });
  console.log(`\n${table(rows)}\n`);
  for (const failure of failures) console.log(`FAILED ${failure}`);
  const took = Math.round((Date.now() - begin) / 1000);
  const how = options.quick ? ' --quick: too short to judge the bars by.' : '';
  console.log(`node ${versions.node}, PostgreSQL ${versions.postgresql}, ${took} s.${how}`);
  const file = new URL('results.json', import.meta.url);
  const result = { ...versions, quick: options.quick, seconds: took, failures, rows };
  await writeFile(file, `${JSON.stringify(result, null, 2)}\n`);
}

async function stop(why) {
  console.error(why);
  await stage.close();
  process.exit(1);
}
