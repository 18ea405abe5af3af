import { Counter, Histogram } from 'prom-client';

export const killToStreamSeconds = new Histogram({
  name: 'lora_kill_to_stream_seconds',
  help: 'From the time that the log gave a kill to its writing to the streams; compares the clocks of two machines.',
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
});

export const streamsDropped = new Counter({
  name: 'lora_streams_dropped_total',
  help: 'Streams that were ended because their reader did not read.',
});
