/** The position of the last event recorded before a time; 0 where there is none. Time and position rise together. */
export const lastBefore = (time: string): string =>
  `coalesce((select position from events where recorded_at < ${time} order by recorded_at desc limit 1), 0)`;
