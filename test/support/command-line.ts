import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { plain } from '../../src/cli/colour.js';
import { loractl } from '../../src/cli/program.js';
import { eventually } from './http.js';

const LAUNCHER = fileURLToPath(new URL('../../bin/loractl.mjs', import.meta.url));

/** The built `loractl` as a process, or what `script` shows of it on a terminal. */
export interface CommandLine {
  readonly process: ChildProcess;
  out(): string;
  err(): string;
  /** Waits until standard output (on a terminal: all there is) has this. */
  shows(text: string | RegExp): Promise<void>;
  /** Waits until standard error has this. */
  tells(text: string): Promise<void>;
  type(text: string): void;
  /** @returns the exit code */
  ended(): Promise<number | null>;
}

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function started(child: ChildProcess): CommandLine {
  let [out, err] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text));
  const closed = once(child, 'close');
  const has = (read: () => string, text: string | RegExp) =>
    eventually(() => {
      if (typeof text === 'string' ? read().includes(text) : text.test(read())) return true;
      if (child.exitCode !== null) throw new Error(`loractl ended with ${child.exitCode}:\n${out}\n${err}`);
      return false;
    });
  return {
    process: child,
    out: () => out,
    err: () => err,
    shows: async (text) => {
      await has(() => out, text);
    },
    tells: async (text) => {
      await has(() => err, text);
    },
    type: (text) => child.stdin?.write(text),
    ended: async () => {
      await closed;
      return child.exitCode;
    },
  };
}

/** Starts it with pipes. */
export function startLine(words: readonly string[], env: Record<string, string> = {}): CommandLine {
  return started(
    spawn(process.execPath, [LAUNCHER, ...words], { env: { PATH: process.env.PATH, ...env }, stdio: 'pipe' }),
  );
}

/** Runs it to its end, with pipes. */
export async function runLine(words: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const line = startLine(words, env);
  line.process.stdin?.end();
  const code = await line.ended();
  return { code, out: line.out(), err: line.err() };
}

/**
 * Runs it in the test's own process, which is faster.
 * @param unwritten why its standard output does not take all of it
 */
export async function runInside(words: readonly string[], unwritten?: string): Promise<Ran> {
  let [out, err] = ['', ''];
  const code = await loractl(words, {
    terminal: {
      paint: plain,
      isInteractive: false,
      out: (line) => (out += `${line}\n`),
      err: (line) => (err += `${line}\n`),
      write: () => Promise.reject(new Error('These are no bytes.')),
      unwritten: () => Promise.resolve(unwritten),
      progress: () => undefined,
      ask: () => Promise.resolve(''),
    },
    version: 'test',
    defaultUrls: undefined,
    tokenFrom: () => () => undefined,
    now: () => new Date(),
    interrupted: new AbortController().signal,
  });
  return { code, out, err };
}

const quoted = (word: string): string => `'${word.replaceAll("'", String.raw`'\''`)}'`;

/** Starts it on a pseudo-terminal; the exit code is its own. */
export function startOnTerminal(words: readonly string[], env: Record<string, string> = {}): CommandLine {
  if (spawnSync('script', ['--version']).status !== 0) {
    throw new Error(
      'The command `script` of util-linux is not there: install it, these tests need a terminal.',
    );
  }
  const command = [process.execPath, LAUNCHER, ...words].map(quoted).join(' ');
  return started(
    spawn('script', ['-qefc', command, '/dev/null'], {
      env: { PATH: process.env.PATH, SHELL: '/bin/sh', TERM: 'xterm', ...env },
      stdio: 'pipe',
    }),
  );
}

/** What is another in every run stands as its kind, so that a whole screen can be compared. */
export function withoutChance(text: string): string {
  return (
    text
      .replaceAll('\r\n', '\n')
      .replaceAll('\u001b', '<esc>')
      // Where the cursor goes depends on lengths; colours are kept.
      .replace(/<esc>\[\d*[GJK]|\r/g, '')
      .replace(/ {2,}/g, '  ')
      .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ {2}\d+ s/g, 'DATE TIME  N s')
      .replace(/(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\dZ \(\d+ s ago\)/g, 'TIME (N s ago)')
      .replace(/(\d{4}-\d\d-\d\d )?\d\d:\d\d \(\d+ s\)/g, 'HH:MM (N s)')
      .replace(/of log [0-9a-f]{8}/g, 'of log LOG')
      .replace(/\d+ s ago/g, 'N s ago')
      .replace(/:\d{4,5}\b/g, ':PORT')
      .replace(/\(\d+ tries\)/g, '(N tries)')
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UUID')
  );
}
