import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';

import { KEY_NAME, signCheckpoint } from '../dist/src/audit/core/checkpoint.js';
import { rootOf } from '../dist/src/audit/core/merkle.js';
import { generateSignerKey } from '../dist/src/audit/core/note.js';
import { absolute, compare, inTurn, median } from './measure.mjs';
import { seed } from './seed.mjs';

const file = (path) => new URL(path, import.meta.url).pathname;
const key = generateSignerKey(KEY_NAME);

/** How fast `loractl verify` holds an export against a checkpoint of all its events, and how much memory it takes. */
export async function* verify(stage, { quick, say }) {
  const sizes = quick ? { large: 20_000, small: 5_000 } : { large: 300_000, small: 30_000 };
  const exports = {};
  for (const [name, size] of Object.entries(sizes)) {
    exports[name] = await exported(stage, `verify_${name}`, size);
    say(`exported a log of ${size} events`);
  }
  const rounds = await inTurn(quick ? 1 : 5, {
    large: () => verified(exports.large, sizes.large),
    small: () => verified(exports.small, sizes.small),
  });
  // The small one is the price of starting: what remains is the price of an event.
  const perSecond = rounds.large.map(
    ({ cpuSeconds }, round) => (sizes.large - sizes.small) / (cpuSeconds - rounds.small[round].cpuSeconds),
  );
  yield absolute({
    row: 'loractl verify: events, for each second of processor time',
    unit: '/s',
    measured: median(perSecond),
    rounds: { measured: perSecond },
    bar: { least: 100_000 },
  });
  yield compare({
    row: `loractl verify: largest memory, ${sizes.large / 1000}k / ${sizes.small / 1000}k events`,
    unit: 'MB',
    pick: ({ megabytes }) => megabytes,
    subject: rounds.large,
    floor: rounds.small,
    bar: { most: 1.3 },
  });
}

/** @returns the words that verify the export of a log of that size */
async function exported(stage, database, size) {
  await stage.database(database);
  await seed(stage, database, size);
  const replica = await stage.replica(database);
  const log = stage.file(`${database}.ndjson`);
  const words = ['export', '--url', `127.0.0.1:${replica.port}`, '--timeout', '60', '--output', log];
  await promisify(execFile)(process.execPath, [file('../bin/loractl.mjs'), ...words]);
  await replica.stop();
  const { logId, leaves } = await stage.asOwner(database, async (client) => ({
    logId: (await client.query('select log_id from log_head')).rows[0].log_id,
    leaves: (await client.query('select leaf_hash from events order by position')).rows,
  }));
  const root = rootOf(leaves.map(({ leaf_hash }) => leaf_hash));
  const checkpoint = stage.file(`${database}.checkpoint`);
  await writeFile(checkpoint, signCheckpoint({ logId, size, root, continues: null }, key));
  return ['verify', log, '--json', '--key', key.verifier.text, '--checkpoint', checkpoint];
}

/** @throws Error unless it has said that all is as it was signed */
async function verified(words, size) {
  const flags = ['--import', file('./usage.mjs')];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    ...flags,
    file('../bin/loractl.mjs'),
    ...words,
  ]);
  const { outcome, covered } = JSON.parse(stdout);
  if (outcome !== 'unaltered' || covered !== size) throw new Error(`loractl verify said ${stdout}`);
  return { ...JSON.parse(stderr), faults: [] };
}
