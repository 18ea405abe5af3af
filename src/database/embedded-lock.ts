import { randomUUID } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { birthOf, codeOf } from './embedded-processes.js';

/**
 * Runs `work` while no other process, and no other call in this one, is inside the same lock file. A lock whose
 * holder died is taken over, also when another program runs under the holder's pid by now.
 */
export async function underLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  const me = JSON.stringify({ pid: process.pid, birth: await birthOf(process.pid), id: randomUUID() });
  while (!(await take(file, me))) {
    const holder = await read(file);
    if (holder === undefined) continue;
    if (await isAlive(holder)) {
      await sleep(20);
      continue;
    }
    // Of several who see the dead holder one removes it, and the others then see that it is gone: without this
    // inner lock a slow one would remove the new holder's file.
    await underLock(`${file}+`, async () => {
      if ((await read(file)) === holder) await rm(file);
    });
  }
  try {
    return await work();
  } finally {
    await rm(file, { force: true });
  }
}

async function take(file: string, me: string): Promise<boolean> {
  if ((await read(file)) !== undefined) return false;
  // Not open with wx: a link appears together with its content, so nobody ever reads half a holder.
  const ticket = `${file}.${randomUUID()}`;
  try {
    await writeFile(ticket, me);
    await link(ticket, file);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(ticket, { force: true });
  }
}

async function read(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function isAlive(holder: string): Promise<boolean> {
  let known: { pid?: unknown; birth?: unknown };
  try {
    known = JSON.parse(holder) as typeof known;
  } catch {
    // Not a lock of ours; its writer will not come back for it.
    return false;
  }
  return typeof known.pid === 'number' && (await birthOf(known.pid)) === known.birth;
}
