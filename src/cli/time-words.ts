const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long ago that was, in one unit: `3 min`. What lies ahead of this clock was just now. */
export function age(time: string, now: Date): string {
  return span(Math.max(0, Math.floor((now.getTime() - Date.parse(time)) / 1000)));
}

function span(seconds: number): string {
  if (seconds < MINUTE) return `${seconds} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`;
  if (seconds < 2 * DAY) return `${Math.floor(seconds / HOUR)} h`;
  return `${Math.floor(seconds / DAY)} d`;
}

/** How long something lasted: `0.84 s`, `3 min`. */
export function duration(seconds: number): string {
  return seconds < MINUTE ? `${Number(seconds.toPrecision(2))} s` : span(Math.floor(seconds));
}

/** `02:14 (3 min)`, in UTC; with the day before it when that was another one. */
export function since(time: string, now: Date): string {
  return `${ofDay(time, now, 16)} (${age(time, now)})`;
}

/** `02:14:07Z (3 min ago)`, with the day before it when that was another one. */
export function at(time: string, now: Date): string {
  return `${ofDay(time, now, 19)}Z (${age(time, now)} ago)`;
}

/** `2026-11-25 02:14:07Z`: for tables, where all have the same width. */
export function absolute(time: string): string {
  return `${time.slice(0, 10)} ${time.slice(11, 19)}Z`;
}

function ofDay(time: string, now: Date, end: number): string {
  const day = time.slice(0, 10);
  return `${day === now.toISOString().slice(0, 10) ? '' : `${day} `}${time.slice(11, end)}`;
}
