import { type FSWatcher, watch } from 'node:fs';
import { lstat, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { pause, within } from './deadline.js';
import { type Log, reasonOf } from './log.js';
import { syncFolder } from './snapshot.js';

/** A disk that hangs must not keep an answer waiting. */
const DISK_MS = 2_000;

/**
 * The local kill: it is on while there is a file `kill` in the folder, whoever made it. Where the file cannot be made it
 * is on in memory, until it is released.
 */
export class HandBrake {
  private readonly file: string;
  private inFile = false;
  private inMemory = false;
  /** Counts what was done here, so that a look at the disk which began before it says nothing. */
  private turn = 0;
  private watcher: FSWatcher | undefined;

  constructor(
    private readonly folder: string,
    private readonly changed: () => void,
    private readonly log: Log,
  ) {
    this.file = join(folder, 'kill');
  }

  get on(): boolean {
    return this.inFile || this.inMemory;
  }

  /** Looks again and again; the watcher only makes it sooner. */
  async run(everyMs: number, signal: AbortSignal): Promise<void> {
    try {
      this.watcher = watch(this.folder, { persistent: false }, () => void this.look());
      this.watcher.on('error', () => this.watcher?.close());
    } catch {
      // Looking is enough.
    }
    while (!signal.aborted) {
      await this.look();
      await pause(everyMs, signal);
    }
    this.watcher?.close();
  }

  async look(): Promise<void> {
    const { turn } = this;
    const there = await this.there();
    if (turn === this.turn) this.set(there, this.inMemory);
  }

  /** Works at once. @returns where it is kept: a kill in memory ends with the process */
  async pull(): Promise<'file' | 'memory'> {
    this.turn++;
    this.set(this.inFile, true);
    try {
      await within(DISK_MS, new AbortController().signal, () => this.make());
      this.turn++;
      this.set(true, false);
    } catch (error) {
      // Perhaps somebody else has made it.
      this.set(this.inFile, !this.inFile);
      this.log('warn', 'local kill file not made', { file: this.file, reason: reasonOf(error) });
    }
    return this.inFile ? 'file' : 'memory';
  }

  /** @throws Error when the file cannot be removed: the brake stays on then */
  async release(): Promise<void> {
    this.turn++;
    await within(DISK_MS, new AbortController().signal, () => rm(this.file, { force: true }));
    this.turn++;
    this.set(false, false);
  }

  private async make(): Promise<void> {
    const handle = await open(this.file, 'a', 0o600);
    await handle.close();
    await syncFolder(this.folder);
  }

  private async there(): Promise<boolean> {
    try {
      await lstat(this.file);
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' || !this.inFile) return this.inFile;
      // A folder that was lost with the file has not been told to lift a kill.
      return !(await lstat(this.folder).then(
        () => true,
        () => false,
      ));
    }
  }

  private set(inFile: boolean, inMemory: boolean): void {
    const before = this.on;
    this.inFile = inFile;
    this.inMemory = inMemory;
    if (this.on === before) return;
    this.log('warn', this.on ? 'local kill' : 'local kill released', { file: this.file });
    this.changed();
  }
}
