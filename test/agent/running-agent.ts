import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Agent } from '../../src/agent/agent.js';
import type { Driver } from '../../src/agent/driver.js';
import type { Effective } from '../../src/agent/effective.js';
import type { AgentSettings } from '../../src/agent/settings.js';
import { readAgentSettings } from '../../src/agent/settings.js';
import type { Timing } from '../../src/agent/timing.js';
import { Api, eventually } from '../support/http.js';
import type { FakeControlPlane } from './fake-control-plane.js';
import type { MemoryEngine } from './memory-engine.js';

const closers: (() => Promise<unknown>)[] = [];

/** For `afterEach`. */
export async function cleanUp(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
}

export function later(close: () => Promise<unknown>): void {
  closers.push(close);
}

export async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lora-agent-'));
  later(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export interface Line {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

export interface RunningAgent {
  readonly agent: Agent;
  readonly api: Api;
  readonly lines: readonly Line[];
  readonly stateDir: string;
  effective(): Effective;
  said(message: string): readonly Line[];
  stop(): Promise<void>;
}

export interface AgentOptions {
  readonly planes: readonly FakeControlPlane[] | readonly string[];
  readonly engine: Driver;
  readonly settings?: Partial<AgentSettings>;
  readonly timing?: Partial<Timing>;
}

/** Times short enough for a test that waits for what must come, and long for what must not. */
const QUICK: Partial<Timing> = {
  pollMs: 20,
  quickMs: 10,
  returnMs: 20,
  tickMs: 20,
  backOff: { firstMs: 5, maxMs: 40 },
  saveMs: 0,
};

export function settingsFor(urls: readonly string[], stateDir: string): AgentSettings {
  const args = [
    '--driver',
    'vllm',
    '--engine-url',
    'http://127.0.0.1:9',
    '--port',
    '0',
    '--state-dir',
    stateDir,
  ];
  const settings = readAgentSettings([...args, '--id', 'engine-1'], {}, 'host');
  return { ...settings, urls, reconcileMs: 100, heartbeatMs: 60_000 };
}

export async function startAgent({ planes, engine, settings, timing }: AgentOptions): Promise<RunningAgent> {
  const stateDir = settings?.stateDir ?? (await newFolder());
  const urls = planes.map((plane) => (typeof plane === 'string' ? plane : plane.url));
  const lines: Line[] = [];
  const { agent, port } = await Agent.start({
    settings: { ...settingsFor(urls, stateDir), ...settings },
    driver: engine,
    log: (level, message, fields) => {
      lines.push({ level, message, ...fields });
    },
    version: '0.0.0',
    timing: { ...QUICK, ...timing },
  });
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopping ??= agent.stop());
  later(stop);
  return {
    agent,
    api: new Api(`http://127.0.0.1:${port}`),
    lines,
    stateDir,
    effective: () => agent.effective(),
    said: (message) => lines.filter((line) => line.message === message),
    stop,
  };
}

/** The engine serves exactly this, and the agent has seen it. */
export async function serves(
  running: RunningAgent,
  engine: MemoryEngine,
  ...adapters: string[]
): Promise<void> {
  await eventually(() => {
    const seen = running.agent.reconciler.sight?.observed.adapters ?? ['not seen'];
    return [[...engine.adapters], seen].every((each) => [...each].sort().join() === adapters.sort().join());
  });
}

/** Waits until the agent has looked so many times more at the engine. */
export async function looks(engine: MemoryEngine, more: number): Promise<void> {
  const before = engine.count('list');
  await eventually(() => engine.count('list') >= before + more);
}
