import { Histogram } from 'prom-client';

export const killAcknowledgedSeconds = new Histogram({
  name: 'lora_kill_acknowledged_seconds',
  help: 'From a kill to its acknowledgement by the last engine that was registered then; one count for each kill.',
  buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
});
