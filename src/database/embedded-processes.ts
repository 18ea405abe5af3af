import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/** The account the server runs under when the service itself is root; PostgreSQL refuses to be root. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

const run = promisify(execFile);

/** `ENOENT`, `EEXIST` and the like, of an error from the system or from PostgreSQL. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/**
 * How a program of PostgreSQL is started. It gets no environment of ours: the server outlives the service
 * and must not carry its secrets, and variables like PGOPTIONS must not change it.
 */
export function spawnOptions(cwd: string, user: ServerUser | undefined) {
  return { cwd, ...user, ...(process.platform === 'win32' ? {} : { env: { LC_ALL: 'C' } }) };
}

/**
 * What tells a process from a later one with the same pid: when it was born. `undefined` when there is no such
 * process, or only its corpse. Windows tells no birth, so there a reused pid counts as alive.
 */
export async function birthOf(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    // The program's name stands in brackets and may hold anything; field 3 is the state, field 22 the birth.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return /^[ZX]/.test(fields[0] ?? '') ? undefined : fields[19];
  }
  if (process.platform === 'win32') return isThere(pid) ? 'alive' : undefined;
  const line = await ps(pid, 'stat=,lstart=');
  return line === '' || line.startsWith('Z') ? undefined : line.replace(/^\S+\s+/, '');
}

/** Whether `pid` is a postgres started on exactly this data folder, and not another program that got its number. */
export async function isPostgresOn(pid: number, data: string): Promise<boolean> {
  if (!(pid > 0)) return false;
  if (process.platform === 'win32') return isThere(pid);
  const command =
    process.platform === 'linux'
      ? await readFile(`/proc/${pid}/cmdline`, 'utf8').then(
          (text) => text.replaceAll('\0', ' '),
          () => '',
        )
      : await ps(pid, 'command=');
  return /(^|\/)postgres /.test(command) && `${command} `.includes(` -D ${data} `);
}

async function ps(pid: number, columns: string): Promise<string> {
  return run('ps', ['-ww', '-o', columns, '-p', String(pid)]).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  );
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}
