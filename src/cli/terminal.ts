import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';

import { inColour, type Paint, plain } from './colour.js';

/** Where a command reads and writes. */
export interface Terminal {
  /** Colours only where a person sees them and does not object. */
  readonly paint: Paint;
  /** A person can be asked. */
  readonly isInteractive: boolean;
  out(line: string): void;
  err(line: string): void;
  /** Bytes as they are. @returns resolves when there is room for more */
  write(bytes: Buffer): Promise<void>;
  /** @returns why standard output did not take all of it; undefined where it did, or where its reader has had enough */
  unwritten(): Promise<string | undefined>;
  /** Shows how far something has come, in place, only on a terminal; an empty text takes it away. */
  progress(text: string): void;
  /** @returns what was typed; empty at the end of input or when interrupted */
  ask(question: string, signal: AbortSignal): Promise<string>;
}

type Stream<T> = T & { readonly isTTY?: boolean };

export interface Streams {
  readonly stdin: Stream<Readable>;
  readonly stdout: Stream<Writable>;
  readonly stderr: Stream<Writable>;
  readonly env: Readonly<Partial<Record<string, string>>>;
}

export function terminalOf({ stdin, stdout, stderr, env }: Streams): Terminal {
  for (const stream of [stdout, stderr]) stream.on('error', () => undefined);
  let failure: Error | undefined;
  const written = (error?: NodeJS.ErrnoException | null): void => {
    // Who pipes into `head` closes early; what is under way goes on and keeps its exit code.
    if (error && error.code !== 'EPIPE') failure ??= error;
  };
  const colourful = stdout.isTTY === true && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb';
  let shown = false;
  const progress = (text: string): void => {
    if (stderr.isTTY !== true || (text === '' && !shown)) return;
    stderr.write(`\r\u001b[K${text}`);
    shown = text !== '';
  };
  const print = (stream: Writable, line: string): void => {
    progress('');
    stream.write(`${line}\n`, stream === stdout ? written : undefined);
  };
  return {
    paint: colourful ? inColour : plain,
    isInteractive: stdin.isTTY === true && stderr.isTTY === true,
    out: (line) => {
      print(stdout, line);
    },
    err: (line) => {
      print(stderr, line);
    },
    write: (bytes) =>
      new Promise((resolve, reject) => {
        stdout.write(bytes, (error) => {
          if (error) reject(error);
          else resolve();
        });
      }),
    unwritten: () =>
      new Promise((resolve) => {
        // After all that was written before.
        stdout.write('', () => {
          resolve(failure?.message);
        });
      }),
    progress,
    ask: async (question, signal) => {
      progress('');
      const reader = createInterface({ input: stdin, output: stderr });
      const ended = new Promise<string>((resolve) => {
        reader.once('close', () => {
          resolve('');
        });
        reader.once('SIGINT', () => {
          reader.close();
        });
      });
      const typed = reader.question(question, { signal }).catch(() => '');
      try {
        return await Promise.race([typed, ended]);
      } finally {
        reader.close();
      }
    },
  };
}
