import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { Api, eventually } from '../support/http.js';
import { later, type Line, newFolder } from './running-agent.js';

const MAIN = fileURLToPath(new URL('../../dist/src/agent.main.js', import.meta.url));

export interface AgentProcess {
  readonly process: ChildProcess;
  readonly api: Api;
  readonly stateDir: string;
  /** What it has logged so far. */
  lines(): readonly Line[];
  /** @returns the exit code */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** Runs the built agent to its end. */
export async function runToEnd(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { PATH: process.env.PATH } });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const bound = setTimeout(() => child.kill('SIGKILL'), 20_000);
  await once(child, 'close');
  clearTimeout(bound);
  return { code: child.exitCode, output };
}

/** Starts the built agent on a free port, settings by its environment. */
export async function startProcess(env: Record<string, string>): Promise<AgentProcess> {
  const stateDir = env.STATE_DIR ?? (await newFolder());
  const child = spawn(process.execPath, [MAIN, '--port', '0'], {
    env: { PATH: process.env.PATH, STATE_DIR: stateDir, ENGINE_ID: 'engine-1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      const exit = once(child, 'exit');
      child.kill(signal);
      await exit;
    }
    return child.exitCode;
  };
  later(() => end('SIGKILL'));
  const lines = (): readonly Line[] =>
    output
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line);
  const url = await eventually(() => {
    if (child.exitCode !== null)
      throw new Error(`The agent ended with ${child.exitCode}:\n${output}${errors}`);
    return lines().find(({ message }) => message === 'agent listens')?.url;
  });
  return { process: child, api: new Api(url as string), stateDir, lines, end };
}
