/** The position of the last event recorded before a time; 0 where there is none. Time and position rise together. */
export const lastBefore = (time: string): string =>
  `coalesce((select position from events where recorded_at < ${time} order by recorded_at desc limit 1), 0)`;

/** The row of the log at a position. `offset 0` has it looked up: the planner may else read all the log to join it. */
export const rowAt = (position: string): string =>
  `(select * from events where position = ${position} offset 0)`;
