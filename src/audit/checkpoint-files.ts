import { randomUUID } from 'node:crypto';
import { link, opendir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Inject, Injectable } from '@nestjs/common';

import { SETTINGS, type Settings } from '../config/settings.js';
import { codeOf } from '../database/embedded-processes.js';
import type { KeptCheckpoint } from './audit.store.js';

/** `<log_id>-<size>.checkpoint` */
const NAME = /^(.{36})-([1-9]\d{0,15})\.checkpoint$/;
/** How many are tried when the largest cannot be checked. */
const LARGEST = 10;
/** What file systems say that know no links. */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV'];

export interface CheckpointFile {
  readonly logId: string;
  readonly size: number;
  readonly name: string;
}

/** The folder of checkpoints that outlives the database; without AUDIT_CHECKPOINT_DIR there is none. */
@Injectable()
export class CheckpointFiles {
  private readonly folder: string | undefined;

  constructor(@Inject(SETTINGS) { auditCheckpointDir }: Settings) {
    this.folder = auditCheckpointDir;
  }

  /**
   * The largest ones of each log, largest first. The folder is read a few names at a time: there may be hundreds of
   * thousands, and a kill must not wait for them.
   */
  async largest(): Promise<ReadonlyMap<string, readonly CheckpointFile[]>> {
    const found = new Map<string, CheckpointFile[]>();
    if (this.folder === undefined) return found;
    for await (const { name } of await opendir(this.folder)) {
      const [, logId, size] = NAME.exec(name) ?? [];
      if (logId === undefined) continue;
      const files = [...(found.get(logId) ?? []), { logId, size: Number(size), name }];
      found.set(logId, files.sort((one, other) => other.size - one.size).slice(0, LARGEST));
    }
    return found;
  }

  read({ name }: CheckpointFile): Promise<string> {
    return readFile(join(this.folder ?? '', name), 'utf8');
  }

  /** Writes it unless it is there; never writes over one. @throws Error when something else has its name */
  async put({ log_id, size, note }: KeptCheckpoint): Promise<void> {
    if (this.folder === undefined) return;
    const name = `${log_id}-${size}.checkpoint`;
    const file = join(this.folder, name);
    const unfinished = join(this.folder, `.${randomUUID()}`);
    try {
      await writeFile(unfinished, note, { flag: 'wx', flush: true });
      await link(unfinished, file).catch((error: unknown) => {
        // Write-once storage has no links, and shows a file when it is closed.
        if (NO_LINKS.includes(codeOf(error) ?? '')) return writeFile(file, note, { flag: 'wx', flush: true });
        throw error;
      });
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      if ((await readFile(file, 'utf8')) !== note)
        throw new Error(`${name} is in the way: it holds something else.`, { cause: error });
    } finally {
      await rm(unfinished, { force: true }).catch(() => undefined);
    }
  }
}
