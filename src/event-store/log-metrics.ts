import { Counter, Histogram } from 'prom-client';

/** What the log's machinery measures of itself; `metrics/` answers with it. Times are seconds. */

const FAST_SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2];

export const appendSeconds = new Histogram({
  name: 'lora_append_seconds',
  help: 'From sending a batch of commands to its commit.',
  buckets: FAST_SECONDS,
});

export const appendBatchSize = new Histogram({
  name: 'lora_append_batch_size',
  help: 'Commands in a batch.',
  buckets: [1, 2, 4, 8, 16, 32, 64],
});

export const appendConflicts = new Counter({
  name: 'lora_append_conflicts_total',
  help: 'Commands that were decided again because the log was further than this replica knew.',
});

export const readIndexSeconds = new Histogram({
  name: 'lora_read_index_seconds',
  help: 'One confirmation: how long the log took to answer.',
  buckets: FAST_SECONDS,
});

export const readIndexReads = new Counter({
  name: 'lora_read_index_reads_total',
  help: 'Reads and commands that waited for a confirmation. Less the confirmations: queries saved.',
});

export const feedReconnects = new Counter({
  name: 'lora_feed_reconnects_total',
  help: 'How often the LISTEN connection was opened again after the first time.',
});
