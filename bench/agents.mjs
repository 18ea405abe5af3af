// The jobs of the load process that are about agents: each follows the stream, and reports at once what it has seen.
import { randomUUID } from 'node:crypto';
import { clearInterval, setInterval } from 'node:timers';
import { setTimeout as pause } from 'node:timers/promises';

import { KeepAlive, requestBytes } from './client.mjs';
import { Engine } from './engine.mjs';
import { now, percentile } from './measure.mjs';

const HEARTBEAT_MS = 5000;
const LATE_MS = 30_000;

/** An agent whose engine does what it is told in no time: what is left is what the service needs. */
class Agent {
  fault;
  #engine;
  #instance = randomUUID();
  #connection;
  #path;
  #reporting = false;
  #again = false;
  #timer;

  constructor(port, fleet, id) {
    this.#path = `/engines/${id}?fleet=${fleet}`;
    this.#engine = new Engine(port, fleet, () => this.#report());
    this.port = port;
  }

  async open() {
    this.#connection = await KeepAlive.open(this.port);
    await this.#engine.open();
    this.#timer = setInterval(() => this.#report(), HEARTBEAT_MS);
  }

  close() {
    clearInterval(this.#timer);
    this.#engine.drop();
    this.#connection.close();
  }

  get faults() {
    return [this.fault, this.#engine.fault].filter(Boolean);
  }

  /** One at a time, the latest goes next. */
  async #report() {
    this.#again = true;
    if (this.#reporting) return;
    this.#reporting = true;
    try {
      while (this.#again) {
        this.#again = false;
        const { generation, logId, adapter } = this.#engine;
        if (generation === 0) continue;
        const body = {
          observed_generation: generation,
          log_id: logId,
          observed_adapters: adapter === null ? [] : [adapter],
          state: 'converged',
          instance_id: this.#instance,
        };
        const { status, body: text } = await this.#connection.ask(
          requestBytes({ method: 'PUT', path: this.#path, body }),
        );
        if (status !== 200) this.fault ??= `a report was answered ${status}: ${text}`;
      }
    } catch (error) {
      this.fault ??= String(error);
    }
    this.#reporting = false;
  }
}

/** Kills that wait for all agents: from each one's being sent until its answer says that the last has acknowledged it. */
async function acknowledgedKills({ ports, count, fleet, kills }) {
  const agents = Array.from(
    { length: count },
    (_, nth) => new Agent(ports[nth % ports.length], fleet, `bench-${nth}`),
  );
  const times = [];
  const faults = [];
  try {
    await Promise.all(agents.map((agent) => agent.open()));
    const writer = await KeepAlive.open(ports[0]);
    const ask = async (name) => {
      const path = `/lora/${name}?fleet=${fleet}`;
      const bytes = requestBytes({ method: 'POST', path, headers: { Prefer: 'wait=30' } });
      const begin = now();
      const { status, body } = await writer.ask(bytes);
      const took = now() - begin;
      const { convergence } = JSON.parse(body.toString());
      if (status !== 200 || convergence?.converged !== true || convergence.engines !== count) {
        faults.push(`${name} answered ${status}: ${JSON.stringify(convergence)}`);
      }
      return took;
    };
    await registered(writer, fleet, count);
    for (let nth = 0; nth < kills && faults.length === 0; nth++) {
      times.push(await ask('disable'));
      await ask('enable');
    }
    writer.close();
  } finally {
    for (const agent of agents) agent.close();
  }
  const sorted = times.sort((one, other) => one - other);
  return {
    p50: percentile(sorted, 50),
    p99: percentile(sorted, 99),
    faults: [...faults, ...agents.flatMap((agent) => agent.faults)].slice(0, 3),
  };
}

/** Resolves when every agent has been heard, and serves what the state says. */
async function registered(connection, fleet, count) {
  const bytes = requestBytes({ path: `/lora/convergence?fleet=${fleet}` });
  for (const begin = now(); now() - begin < LATE_MS; await pause(5)) {
    const { engines, converged } = JSON.parse((await connection.ask(bytes)).body.toString());
    if (engines === count && converged) return;
  }
  throw new Error(`Not all agents are registered within ${LATE_MS / 1000} s.`);
}

export const agentJobs = { acknowledgedKills };
