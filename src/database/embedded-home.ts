import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import {
  access,
  chmod,
  constants,
  mkdir,
  readFile,
  realpath,
  rename,
  stat,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { codeOf, type ServerUser } from './embedded-processes.js';

/** Where everything of the embedded server lives, and who runs it. */
export interface EmbeddedHome {
  /** Lock and log of the server, copied programs, and `cluster`. */
  readonly folder: string;
  /** PostgreSQL's data directory. */
  readonly data: string;
  readonly passwordFile: string;
  readonly lock: string;
  readonly log: string;
  /** Set when the service is root. */
  readonly user: ServerUser | undefined;
}

const POINTER = 'postgres-lives-in.txt';
const PRIVATE_FOLDERS = '/var/lib/lora-control-plane';

const run = promisify(execFile);

/** Step by step: Node's own recursive mkdir never ends where nothing can be made, below /proc for one. */
async function makeFolders(folder: string): Promise<void> {
  if (await exists(folder)) return;
  const parent = dirname(resolve(folder));
  if (parent !== resolve(folder)) await makeFolders(parent);
  await mkdir(folder).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  });
}

/**
 * Finds or makes the home of the server: inside `dataDir`, or in a folder of its own when the service is root and
 * the server's user cannot get into `dataDir`. `dataDir` then holds a file that names the folder.
 */
export async function openHome(dataDir: string, say: (line: string) => void): Promise<EmbeddedHome> {
  await makeFolders(dataDir);
  const base = await realpath(dataDir);
  const inside = homeIn(join(base, 'postgres'));
  const elsewhere = await readPointer(join(base, POINTER));
  const isRoot = process.getuid?.() === 0;

  if (elsewhere !== undefined) {
    if (!(await exists(elsewhere))) {
      throw new Error(
        `The database of ${base} was kept in ${elsewhere}, which is gone. Bring it back, ` +
          `or delete ${join(base, POINTER)} to start with an empty one.`,
      );
    }
    say(`The database of ${base} is kept in ${elsewhere}`);
    const home = homeIn(elsewhere);
    return isRoot ? { ...home, user: await serverUser(home) } : refuseForeign(home);
  }
  if (!isRoot) {
    if (!(await exists(inside.folder))) await makeFolder(inside.folder, 0o700);
    return refuseForeign(inside);
  }

  const user = await serverUser(inside);
  if (await canEnter(base, user)) {
    await makeFolder(inside.folder, 0o711);
    return { ...inside, user };
  }
  if (await exists(inside.data)) {
    // Starting an empty database beside it would silently forget everything that is in this one.
    throw new Error(
      `There is a database in ${inside.folder}, but its user (uid ${user.uid}) cannot get into ${base}: ` +
        'make the folders above it executable for that user.',
    );
  }
  const hash = createHash('sha256').update(base).digest('hex').slice(0, 12);
  const folder = join(PRIVATE_FOLDERS, `${basename(base)}-${hash}`);
  say(`The user of the database (uid ${user.uid}) cannot get into ${base}: its data is kept in ${folder}`);
  await makeFolder(PRIVATE_FOLDERS, 0o711);
  await makeFolder(folder, 0o711);
  await writePointer(join(base, POINTER), folder);
  return { ...homeIn(folder), user };
}

function homeIn(folder: string): EmbeddedHome {
  return {
    folder,
    data: join(folder, 'cluster', 'data'),
    passwordFile: join(folder, 'cluster', 'owner-password'),
    lock: join(folder, 'lock'),
    log: join(folder, 'server.log'),
    user: undefined,
  };
}

/** The rights in `mode` are there even under a strict umask; a folder that was there keeps what it has. */
async function makeFolder(folder: string, mode: number): Promise<void> {
  await mkdir(folder, { recursive: true, mode });
  const has = (await stat(folder)).mode & 0o777;
  if ((has & mode) !== mode) await chmod(folder, has | mode);
}

async function refuseForeign(home: EmbeddedHome): Promise<EmbeddedHome> {
  try {
    await access(home.folder, constants.W_OK);
    return home;
  } catch (error) {
    throw new Error(
      `The database in ${home.folder} belongs to another user: start as that user or as root.`,
      {
        cause: error,
      },
    );
  }
}

/** Who owns the data stays its user for ever: also when the service ran as that user before, not as root. */
async function serverUser(home: EmbeddedHome): Promise<ServerUser> {
  const data = await stat(home.data).catch(() => undefined);
  if (data !== undefined) return { uid: data.uid, gid: data.gid };
  for (const name of ['postgres', '_postgres', 'nobody']) {
    try {
      const id = async (option: string): Promise<number> =>
        Number((await run('id', [option, name])).stdout.trim());
      return { uid: await id('-u'), gid: await id('-g') };
    } catch {
      // No such user: the next.
    }
  }
  throw new Error(
    'PostgreSQL does not run as root, and there is neither a user postgres nor nobody. ' +
      'Start as an ordinary user, or set DATABASE_URL to a PostgreSQL of your own.',
  );
}

async function canEnter(folder: string, user: ServerUser): Promise<boolean> {
  const { mode, uid, gid } = await stat(folder);
  const mayEnter = uid === user.uid ? mode & 0o100 : gid === user.gid ? mode & 0o010 : mode & 0o001;
  if (mayEnter === 0) return false;
  return dirname(folder) === folder || canEnter(dirname(folder), user);
}

async function readPointer(file: string): Promise<string | undefined> {
  try {
    return (await readFile(file, 'utf8')).split('\n')[0];
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function writePointer(file: string, folder: string): Promise<void> {
  const text = `${folder}\nis where the database of this folder is kept: its user cannot get in here.\n`;
  const unfinished = `${file}.${randomUUID()}`;
  await writeFile(unfinished, text);
  await rename(unfinished, file);
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
