import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Api, eventually } from './http.js';

/** A built service as a process of its own. */
export interface Replica {
  readonly api: Api;
  readonly pid: number;
  readonly process: ChildProcess;
  /** Everything that it has printed. */
  output(): string;
  /** Sends a signal and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface ReplicaOptions {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  /** Wait until it takes commands (the default), or only until it answers. */
  readonly until?: 'ready' | 'listening';
  /** In a process group of its own, as a shell starts it. */
  readonly detached?: boolean;
  /** Another clone of the project than this one, another Node, another account. */
  readonly root?: string;
  readonly node?: string;
  readonly user?: { readonly uid: number; readonly gid: number };
}

function spawnService({ env, root, node = process.execPath, cwd, detached, user }: ReplicaOptions) {
  const main = join(root ?? fileURLToPath(new URL('../..', import.meta.url)), 'dist/src/main.js');
  return spawn(node, [main], {
    ...user,
    cwd,
    detached,
    env: { PATH: process.env.PATH, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Starts `dist/src/main.js` on a free port. */
export async function startReplica(options: ReplicaOptions): Promise<Replica> {
  const child = spawnService(options);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const url = await eventually(() => {
    const end = child.exitCode ?? child.signalCode;
    if (end !== null) throw new Error(`The service ended with ${end}:\n${output}`);
    if (options.until !== 'listening' && !output.includes('Ready:')) return undefined;
    return /Listening on (http:\S+?);/.exec(output)?.[1];
  });
  return {
    api: new Api(url),
    pid: child.pid ?? 0,
    process: child,
    output: () => output,
    stop: async (signal = 'SIGTERM') => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    },
  };
}

/** Less than what a test may take. */
const PATIENCE_MS = 25_000;

/** Runs a service that ends by itself. @returns its exit code and what it printed */
export async function runToEnd(options: ReplicaOptions): Promise<{ code: number | null; output: string }> {
  const child = spawnService(options);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  // One that goes on for ever must not outlive its test.
  const bound = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  await once(child, 'close');
  clearTimeout(bound);
  if (child.signalCode === 'SIGKILL') throw new Error(`The service did not end:\n${output}`);
  return { code: child.exitCode, output };
}
