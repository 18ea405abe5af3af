// The process that sends the load and measures it, apart from all that is measured. Takes one job at a time over IPC.
import { Buffer } from 'node:buffer';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';

import pg from 'pg';

import { agentJobs } from './agents.mjs';
import { faultOf } from './expect.mjs';
import { KeepAlive, requestBytes } from './client.mjs';
import { engineJobs } from './engines.mjs';
import { percentile } from './measure.mjs';

const jobs = { http, insert, spread, writes, drain, ...engineJobs, ...agentJobs };

/** Closed-loop clients, spread evenly over the ports, for a time or a number of requests each. */
async function http({ ports, clients, requests, durationMs = Infinity, count = Infinity, expect }) {
  const sent = requests.map(requestBytes);
  const wanted = { ...expect, bytes: expect.text === undefined ? undefined : Buffer.from(expect.text) };
  const connections = await Promise.all(
    Array.from({ length: clients }, (_, nth) => KeepAlive.open(ports[nth % ports.length])),
  );
  const times = [];
  const generations = [];
  const faults = [];
  const cpuBefore = process.cpuUsage();
  const begin = performance.now();
  let inTime = 0;
  await Promise.all(
    connections.map(async (connection, nth) => {
      for (let turn = 0; turn < count && performance.now() - begin < durationMs; turn++) {
        const started = performance.now();
        const answer = await connection.ask(sent[(nth + turn) % sent.length]);
        const ended = performance.now();
        times.push(ended - started);
        if (ended - begin <= durationMs) inTime++;
        const fault = faultOf(answer, wanted, generations);
        if (fault) faults.push(fault);
      }
    }),
  );
  const elapsed = performance.now() - begin;
  const cpu = process.cpuUsage(cpuBefore);
  for (const connection of connections) connection.close();
  return {
    ...summary(times),
    perSecond: Math.round((inTime * 1000) / Math.min(elapsed, durationMs)),
    /** Of one core: a load generator near 100 % would measure itself. */
    clientCpu: Number(((cpu.user + cpu.system) / 1000 / elapsed).toFixed(2)),
    answered: times.length,
    generations: expect.distinct ? generations : [],
    faults: faults.slice(0, 3),
  };
}

/** Floor (a): durable inserts of one row, one after the other, on one connection. */
async function insert({ url, count }) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(
    'create table if not exists floor (id bigint generated always as identity primary key, body text not null)',
  );
  await client.query('set synchronous_commit = on');
  const body = 'x'.repeat(300);
  const times = [];
  for (let nth = 0; nth < count; nth++) {
    const started = performance.now();
    const { rowCount } = await client.query('insert into floor (body) values ($1)', [body]);
    times.push(performance.now() - started);
    if (rowCount !== 1) throw new Error('An insert did not insert.');
  }
  await client.end();
  return { ...summary(times), faults: [] };
}

/** From a kill's being sent to one replica until a reader that asks another without pause has seen it. */
async function spread({ from, to, fleet, read, count }) {
  const [writer, reader] = await Promise.all([from, to].map((port) => KeepAlive.open(port)));
  const ask = requestBytes({ path: read });
  const command = (name) => requestBytes({ method: 'POST', path: `/lora/${name}?fleet=${fleet}` });
  const seen = [];
  const acknowledged = [];
  const faults = [];
  for (let nth = 0; nth < count; nth++) {
    const started = performance.now();
    const kill = writer.ask(command('disable')).then((answer) => {
      acknowledged.push(performance.now() - started);
      faults.push(...[faultOf(answer, { fleet, enabled: false }, [])].filter(Boolean));
    });
    for (;;) {
      const { status, body } = await reader.ask(ask);
      if (status === 200 && body.includes('"enabled":false')) break;
      if (performance.now() - started > 10_000) throw new Error('A kill was not seen within 10 s.');
    }
    seen.push(performance.now() - started);
    await kill;
    const enabled = await writer.ask(command('enable'));
    faults.push(...[faultOf(enabled, { fleet, enabled: true }, [])].filter(Boolean));
    while (!(await reader.ask(ask)).body.includes('"enabled":true'));
  }
  writer.close();
  reader.close();
  return { ...summary(seen), acknowledged: summary(acknowledged), faults: faults.slice(0, 3) };
}

/**
 * Writes while the database comes and goes: each is answered with its state, or with an honest 503. Bounded in time;
 * a client waits a little between two.
 */
async function writes({ port, clients, requests, durationMs }) {
  const sent = requests.map(requestBytes);
  const connections = await Promise.all(Array.from({ length: clients }, () => KeepAlive.open(port)));
  const figures = { longest: 0, done: 0, none: 0, unknown: 0, generations: [], faults: [] };
  const begin = performance.now();
  await Promise.all(
    connections.map(async (connection, nth) => {
      for (let turn = nth; performance.now() - begin < durationMs; turn++) {
        const started = performance.now();
        const { status, head, body } = await connection.ask(sent[turn % sent.length]);
        figures.longest = Math.max(figures.longest, performance.now() - started);
        const answer = JSON.parse(body.toString());
        const refused =
          status === 503 && answer.code === 'log-unavailable' && /\r\nretry-after: \d/i.test(head);
        if (status === 200 && answer.generation > 0) {
          figures.done++;
          figures.generations.push(answer.generation);
        } else if (refused && ['none', 'unknown'].includes(answer.outcome)) figures[answer.outcome]++;
        else figures.faults.push(`${status} ${body}`);
        await pause(10);
      }
    }),
  );
  for (const connection of connections) connection.close();
  return figures;
}

/** Reads a file of the log to its end, and keeps none of it but its last line. */
async function drain({ port, query, events }) {
  const response = await globalThis.fetch(`http://127.0.0.1:${port}/lora/history/export${query}`);
  let [bytes, end] = [0, Buffer.alloc(0)];
  for await (const chunk of response.body) {
    bytes += chunk.length;
    end = Buffer.concat([end, chunk]).subarray(-200);
  }
  const last = end.toString().trimEnd().split('\n').at(-1);
  const whole = response.status === 200 && JSON.parse(last).events === events;
  return { bytes, faults: whole ? [] : [`not all of it: ${response.status} ${last}`] };
}

function summary(times) {
  const sorted = times.sort((one, other) => one - other);
  return { p50: percentile(sorted, 50), p99: percentile(sorted, 99) };
}

process.on('message', ({ kind, ...job }) => {
  jobs[kind](job).then(
    (result) => process.send({ result }),
    (error) => process.send({ error: error.stack ?? String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
