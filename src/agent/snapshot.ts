import { lstat, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

import { type FleetState, isVersion, readState } from './fleet-state.js';
import { type Log, reasonOf } from './log.js';

/** What is kept over a restart. */
export interface Snapshot {
  readonly state: FleetState;
  /** Wall-clock milliseconds of the last confirmation; null when nobody knows. */
  readonly confirmedAt: number | null;
  /** Versions that a load was sent for and that have not been seen since: they may still land. */
  readonly begun: readonly string[];
}

const SIZE_MAX = 64 * 1024;

/** Reads it; a broken one is as none, with a warning. */
export async function readSnapshot(file: string, fleet: string, log: Log): Promise<Snapshot | undefined> {
  try {
    const found = await lstat(file);
    if (!found.isFile() || found.size > SIZE_MAX) throw new Error('not a small file');
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    const state = readState(value, fleet);
    if (!state) throw new Error(`not a state of fleet ${fleet}`);
    const { confirmed_at, begun } = value as Partial<Record<string, unknown>>;
    const time = Date.parse(String(confirmed_at));
    return {
      state,
      confirmedAt: Number.isNaN(time) ? null : time,
      begun: Array.isArray(begun) ? begun.filter(isVersion) : [],
    };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      log('warn', 'snapshot set aside', { file, reason: reasonOf(error) });
    }
    return undefined;
  }
}

/** Keeps the newest snapshot on disk. A disk that cannot be written to holds nothing up. */
export class SnapshotWriter {
  private next: Snapshot | undefined;
  private writing: Promise<void> | undefined;
  private failed = false;

  constructor(
    private readonly file: string,
    private readonly log: Log,
  ) {}

  /** @returns when it is on disk, or cannot be */
  save(snapshot: Snapshot): Promise<void> {
    this.next = snapshot;
    this.writing ??= this.writeAll().finally(() => (this.writing = undefined));
    return this.writing;
  }

  /** What is being written; undefined when nothing is. */
  get busy(): Promise<void> | undefined {
    return this.writing;
  }

  /** What comes while one is being written replaces what waits. */
  private async writeAll(): Promise<void> {
    while (this.next) {
      const { state, confirmedAt, begun } = this.next;
      this.next = undefined;
      const confirmed_at = confirmedAt === null ? null : new Date(confirmedAt).toISOString();
      try {
        const kept = { ...state, confirmed_at, ...(begun.length > 0 && { begun }) };
        await replaceFile(this.file, `${JSON.stringify(kept)}\n`);
        this.failed = false;
      } catch (error) {
        if (!this.failed) this.log('warn', 'snapshot not written', { reason: reasonOf(error) });
        this.failed = true;
      }
    }
  }
}

/** After a power cut there is the old file or the new one, whole. */
async function replaceFile(file: string, text: string): Promise<void> {
  const draft = `${file}.new`;
  await rm(draft, { force: true });
  const handle = await open(draft, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, file);
  await syncFolder(dirname(file));
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
