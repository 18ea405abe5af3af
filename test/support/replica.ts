import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

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
  /** In a process group of its own, as a shell starts it. */
  readonly detached?: boolean;
}

/** Starts `dist/src/main.js` on a free port and waits until it listens. */
export async function startReplica({ env = {}, cwd, detached = false }: ReplicaOptions): Promise<Replica> {
  const main = new URL('../../dist/src/main.js', import.meta.url).pathname;
  const child = spawn(process.execPath, [main], {
    cwd,
    detached,
    env: { PATH: process.env.PATH, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const url = await eventually(() => {
    if (child.exitCode !== null) throw new Error(`The service ended with ${child.exitCode}:\n${output}`);
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
