import { Gauge } from 'prom-client';

export const accessFileBroken = new Gauge({
  name: 'lora_access_file_broken',
  help: '1 while ACCESS_FILE cannot be used as it is, and the last good one stays in force.',
});
