import { readFile, writeFile } from 'node:fs/promises';

/** Linux only, as the benchmark's other look into /proc. */

/** Bytes of a process in memory, now. */
export function residentOf({ pid }) {
  return statusOf(pid, 'VmRSS');
}

/** Bytes of a process in memory, at most since {@link forgetPeak}. */
export function peakOf({ pid }) {
  return statusOf(pid, 'VmHWM');
}

export function forgetPeak({ pid }) {
  return writeFile(`/proc/${pid}/clear_refs`, '5');
}

async function statusOf(pid, name) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)[1]) * 1024;
}
