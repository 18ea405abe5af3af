// The jobs of the load process that are about streams. Those that are open stay so from one job to the next.
import { setTimeout as pause } from 'node:timers/promises';

import { KeepAlive, requestBytes } from './client.mjs';
import { Engine } from './engine.mjs';
import { faultOf } from './expect.mjs';
import { now, percentile } from './measure.mjs';

/** So many connect at once when no storm is asked for. */
const ABREAST = 100;
const LATE_MS = 60_000;

const engines = [];
/** Whom to tell of every state that comes. */
let listener = () => undefined;

/** Opens streams, spread evenly over the ports. @returns when every engine has a state */
async function openEngines({ ports, count, fleet }) {
  const fresh = Array.from(
    { length: count },
    (_, nth) => new Engine(ports[nth % ports.length], fleet, (engine) => listener(engine)),
  );
  engines.push(...fresh);
  for (let from = 0; from < count; from += ABREAST) {
    const some = fresh.slice(from, from + ABREAST);
    await Promise.all(some.map((engine) => engine.open()));
    await until(() => some.every(({ generation }) => generation > 0), 'An engine got no state');
  }
  return { faults: faults() };
}

/** Kills through one port, one after the other: from each one's being sent until the last engine has it. */
async function killsToEngines({ port, fleet, count }) {
  const writer = await KeepAlive.open(port);
  const [kill, enable] = ['disable', 'enable'].map((name) =>
    requestBytes({ method: 'POST', path: `/lora/${name}?fleet=${fleet}` }),
  );
  const seen = [];
  const acknowledged = [];
  for (let nth = 0; nth < count; nth++) {
    const killed = await toAll(writer, kill, { fleet, enabled: false });
    seen.push(killed.seen);
    acknowledged.push(killed.answered);
    await toAll(writer, enable, { fleet, enabled: true });
  }
  writer.close();
  return { seen: summary(seen), acknowledged: summary(acknowledged), faults: faults() };
}

/** @returns when the command was answered and when the last engine had its state, in milliseconds from its sending */
async function toAll(writer, command, expect) {
  let left = engines.length;
  let lastAt;
  listener = (engine) => {
    if (engine.enabled === expect.enabled && --left === 0) lastAt = now();
  };
  const begin = now();
  const answer = await writer.ask(command);
  const answered = now() - begin;
  await until(() => left === 0, 'A command did not come to all engines');
  listener = () => undefined;
  const generations = [];
  const fault = faultOf(answer, expect, generations);
  if (fault) throw new Error(`A wrong answer: ${fault}`);
  const others = engines.filter(({ generation }) => generation !== generations[0]).length;
  if (others > 0) throw new Error(`${others} engines are not at the generation of the answer.`);
  return { answered, seen: lastAt - begin };
}

/** All streams break at the same time, and all engines connect again at once. @returns from when to when */
async function storm() {
  const begin = now();
  for (const engine of engines) engine.drop();
  await within(Promise.all(engines.map((engine) => engine.open())), 'Not all engines are back');
  return { begin, end: now(), faults: faults() };
}

/** @returns when every engine has that generation */
async function settled({ generation }) {
  await until(
    () => faults().length > 0 || engines.every((engine) => engine.generation === generation),
    'Not all engines came to the last state',
  );
  return { faults: faults() };
}

async function closeEngines() {
  for (const engine of engines.splice(0)) engine.drop();
  return { faults: [] };
}

export const engineJobs = { openEngines, killsToEngines, storm, settled, closeEngines };

function faults() {
  return engines
    .map(({ fault }) => fault)
    .filter(Boolean)
    .slice(0, 3);
}

function summary(times) {
  const sorted = times.sort((one, other) => one - other);
  return { p50: percentile(sorted, 50), p99: percentile(sorted, 99) };
}

async function until(done, what) {
  for (const begin = now(); !done(); await pause(1)) {
    const [fault] = faults();
    if (fault) throw new Error(`A stream: ${fault}`);
    if (now() - begin > LATE_MS) throw new Error(`${what} within ${LATE_MS / 1000} s.`);
  }
}

function within(promise, what) {
  const late = pause(LATE_MS, undefined, { ref: false }).then(() => {
    throw new Error(`${what} within ${LATE_MS / 1000} s.`);
  });
  return Promise.race([promise, late]);
}
