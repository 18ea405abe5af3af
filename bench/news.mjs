import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';

import pg from 'pg';

import { call, KeepAlive, requestBytes } from './client.mjs';
import { makeFleet } from './commands.mjs';
import { faultOf } from './expect.mjs';
import { absolute, compare, inTurn, now, percentile, refuseFaults } from './measure.mjs';
import { residentOf } from './memory.mjs';
import { openHole } from './own-postgres.mjs';

const FLEET = 'heard';
/** What the process needs besides its streams. */
const FILES_BESIDE = 500;
const MEGABYTE = 1e6;
/** Between two kills to the crowd: the news of the one before has gone out by then, and is not what is measured. */
const CALM_MS = 100;

/** How soon engines hear of a kill, what idle ones cost, and that a write is answered whatever the database does. */
export async function* news(stage, { quick, say }) {
  yield* spreading(stage, quick);
  yield* crowd(stage, quick);
  yield* troubles(stage, quick, say);
}

/** A kill through one replica, heard on streams of another and of both. */
async function* spreading(stage, quick) {
  const replicas = await Promise.all([stage.replica('young'), stage.replica('young')]);
  try {
    const [from, to] = replicas.map(({ port }) => port);
    await makeFleet(from, FLEET, 3);
    yield* heard(stage, [to], { from, engines: 1, count: quick ? 30 : 300, percents: { p50: 5, p99: 50 } });
    const engines = quick ? 200 : 1000;
    yield* heard(stage, [from, to], { from, engines, count: quick ? 10 : 60, percents: { p99: 250 } });
  } finally {
    await Promise.all(replicas.map(({ stop }) => stop()));
  }
}

async function* heard(stage, ports, { from, engines, count, percents }) {
  let figure;
  try {
    const opened = await stage.load({ kind: 'openEngines', ports, count: engines, fleet: FLEET });
    const kills = (times) => stage.load({ kind: 'killsToEngines', port: from, fleet: FLEET, count: times });
    const warm = await kills(Math.ceil(count / 10));
    figure = await kills(count);
    refuseFaults('streams', { figures: [opened, warm, figure] });
  } finally {
    await stage.load({ kind: 'closeEngines' });
  }
  const who = engines === 1 ? 'another replica streams it' : `the last of ${engines} engines on 2 replicas`;
  const maximum = count <= 100 ? `, of ${count} the slowest` : '';
  for (const [percent, most] of Object.entries(percents)) {
    yield absolute({
      row: `kill sent -> ${who}, ${percent}`,
      unit: 'ms',
      measured: figure.seen[percent],
      bar: { most },
      note: `answered: ${figure.acknowledged[percent].toFixed(2)} ms${percent === 'p99' ? maximum : ''}`,
    });
  }
}

/** Thousands of streams on one replica: what they cost when idle, and a kill while all of them connect again. */
async function* crowd(stage, quick) {
  const count = quick ? 500 : 5000;
  const files = await filesMax();
  if (files < count + FILES_BESIDE) {
    yield { row: `${count} streams on one replica`, unit: '', note: `skipped: ulimit -n is ${files}` };
    return;
  }
  const replica = await stage.replica('young');
  try {
    await makeFleet(replica.port, 'crowd', 3);
    const settle = () => pause(quick ? 500 : 5000);
    await settle();
    const without = await residentOf(replica);
    refuseFaults('streams', {
      opened: await stage.load({ kind: 'openEngines', ports: [replica.port], count, fleet: 'crowd' }),
    });
    const atOnce = await residentOf(replica);
    await settle();
    const idle = await residentOf(replica);
    const memory = (when, resident, bar) => ({
      row: `${count} idle streams on 1 replica, VmRSS over none, ${when}`,
      unit: 'MB',
      measured: (resident - without) / MEGABYTE,
      bar,
      note: `none: ${(without / MEGABYTE).toFixed(1)} MB`,
    });
    yield absolute(memory('at once', atOnce, { most: 250 }));
    yield absolute(memory(quick ? 'later' : '5 s later', idle, { most: 250 }));
    yield* storms(stage, replica, count, quick);
    await settle();
    yield memory('after these storms', await residentOf(replica));
  } finally {
    await stage.load({ kind: 'closeEngines' });
    await replica.stop();
  }
}

/**
 * Quiet kills and kills in a storm in turn, on a connection that was there before and on a new one for each. This
 * process sends them, because the load process makes the storm.
 */
async function* storms(stage, replica, streams, quick) {
  const [rounds, quietKills] = quick ? [1, 8] : [5, 12];
  const onOne = async () => {
    const kept = await KeepAlive.open(replica.port);
    const figure = await inStorm(stage, quietKills, (over) => killing(kept, over));
    kept.close();
    return figure;
  };
  const figures = await inTurn(rounds, {
    kept: onOne,
    fresh: () => inStorm(stage, quietKills, (over) => killing(replica.port, over)),
  });
  for (const [how, bar] of [
    ['kept', { most: 4 }],
    ['fresh', undefined],
  ]) {
    const each = figures[how];
    const all = each.flatMap(({ storm }) => storm);
    const lasted = each.map((figure) => figure.lasted);
    yield compare({
      row: `kill on a ${how === 'kept' ? 'kept' : 'new'} connection while ${streams} streams connect again, the slowest of a storm`,
      unit: 'ms',
      pick: (times) => percentile(times, 99),
      subject: each.map(({ storm }) => storm),
      floor: each.map(({ quiet }) => quiet),
      bar,
      note:
        `floor: quiet p99; ${all.length} kills, the slowest of all ${Math.max(...all).toFixed(1)} ms; ` +
        `storms of ${Math.min(...lasted).toFixed(0)} to ${Math.max(...lasted).toFixed(0)} ms`,
    });
  }
}

/** @returns what kills took, sorted, first in quiet and then in a storm, and how long that lasted */
async function inStorm(stage, quietKills, kills) {
  let left = quietKills;
  const quiet = await kills(() => --left <= 0);
  await stage.load({ kind: 'settled', generation: quiet.at(-1).generation });
  let over = false;
  const storming = stage.load({ kind: 'storm' }).finally(() => (over = true));
  const [storm, sent] = await Promise.all([storming, kills(() => over)]);
  const { faults } = await stage.load({ kind: 'settled', generation: sent.at(-1).generation });
  refuseFaults('storm', { faults: [storm, { faults }] });
  const within = sent.filter((each) => each.sent + each.took >= storm.begin && each.sent <= storm.end);
  const timesOf = (some) => some.map(({ took }) => took).sort((one, other) => one - other);
  return { quiet: timesOf(quiet), storm: timesOf(within), lasted: storm.end - storm.begin };
}

/**
 * Kills one after the other until told to end; a kill of what is killed already is an event like any other.
 * @param where a connection, or the port for a new one each time, whose opening then counts
 * @returns when each was sent, how long its answer took, and the generation that it made
 */
async function killing(where, over) {
  const kills = [];
  do {
    const sent = now();
    const connection = where instanceof KeepAlive ? where : await KeepAlive.open(where);
    const generation = await kill(connection);
    kills.push({ sent, took: now() - sent, generation });
    if (connection !== where) connection.close();
    await pause(CALM_MS);
  } while (!over());
  return kills;
}

async function kill(connection) {
  const bytes = requestBytes({ method: 'POST', path: '/lora/disable?fleet=crowd' });
  const generations = [];
  const fault = faultOf(await connection.ask(bytes), { fleet: 'crowd', enabled: false }, generations);
  if (fault) throw new Error(`disable: a wrong answer: ${fault}`);
  return generations[0];
}

/** The database is stopped, hangs, or swallows packets: every write is answered all the same. */
async function* troubles(stage, quick, say) {
  const postgres = await stage.postgres();
  const hole = await openHole(postgres.port);
  const replicas = [];
  try {
    const through = new URL(postgres.url);
    through.port = String(hole.port);
    for (const url of [postgres.url, through.href]) replicas.push(await stage.replicaOn(url));
    const [direct, behind] = replicas.map(({ port }) => port);
    for (const fleet of ['killed', 'deployed']) await makeFleet(direct, fleet, 1);
    for (const { name, port, begin, end } of [
      { name: 'stopped', port: direct, begin: () => postgres.stop(), end: () => postgres.start() },
      { name: 'hanging', port: direct, begin: () => postgres.hang(), end: () => postgres.goOn() },
      { name: 'dropping packets', port: behind, begin: () => hole.swallow(), end: () => hole.pass() },
    ]) {
      const figures = [];
      for (let round = 0; round < (quick ? 1 : 2); round++) {
        figures.push(await throughTrouble(stage, postgres, { port, begin, end, quick }));
      }
      refuseFaults(name, { figures });
      const sum = (pick) => figures.reduce((total, each) => total + pick(each), 0);
      say(`${name}: ${sum(({ none }) => none)} times outcome none, ${sum(({ unknown }) => unknown)} unknown`);
      yield absolute({
        row: `a write, the database ${name}, the longest answer`,
        unit: 'ms',
        measured: Math.max(...figures.map(({ longest }) => longest)),
        bar: { most: 2000 },
        note: `of ${sum(({ none, unknown }) => none + unknown)} times 503, ${sum(({ done }) => done)} times 200`,
      });
    }
  } finally {
    postgres.goOn();
    hole.close();
    await Promise.all(replicas.map(({ stop }) => stop()));
    await postgres.end();
  }
}

/** Writes before and during a trouble. Afterwards the log must hold what was answered, and nothing that was denied. */
async function throughTrouble(stage, postgres, { port, begin, end, quick }) {
  const before = await headOf(postgres.url);
  const writing = stage.load({
    kind: 'writes',
    port,
    clients: 8,
    requests: [
      { method: 'POST', path: '/lora/disable?fleet=killed' },
      { method: 'POST', path: '/lora/deploy?fleet=deployed', body: { adapter_version: 'v1.2' } },
    ],
    durationMs: quick ? 2500 : 4000,
  });
  writing.catch(() => undefined);
  let figure;
  try {
    await pause(300);
    await begin();
    figure = await writing;
  } finally {
    await end();
  }
  for (
    const until = now() + 20_000;
    (await call(port, { path: '/health/ready', any: true })).status !== 200;
  ) {
    if (now() > until) throw new Error('A replica is not ready again within 20 s.');
    await pause(20);
  }
  if (figure.done === 0 || figure.none + figure.unknown === 0) throw new Error('There was no trouble.');
  const after = await headOf(postgres.url);
  const { generations, done, unknown } = figure;
  const distinct = new Set(generations).size;
  const outside = generations.filter((generation) => generation <= before || generation > after).length;
  const added = after - before;
  if (distinct !== done || outside > 0 || added < done || added > done + unknown) {
    figure.faults.push(`${done} done and ${unknown} unknown, but ${added} in the log, ${outside} not there`);
  }
  return figure;
}

async function headOf(url) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query('select position::int from log_head')).rows[0].position;
  } finally {
    await client.end();
  }
}

/** Node raises its own limit to the hard one. */
async function filesMax() {
  const limits = await readFile('/proc/self/limits', 'utf8');
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)[1];
  return hard === 'unlimited' ? Infinity : Number(hard);
}
