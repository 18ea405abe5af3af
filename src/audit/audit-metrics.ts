import { Gauge } from 'prom-client';

export const auditContradicted = new Gauge({
  name: 'lora_audit_contradicted',
  help: '1 when the log is not what it was when it was signed or seen: nothing is signed until it is adopted.',
});

export const auditFailing = new Gauge({
  name: 'lora_audit_failing',
  help: '1 while the log cannot be checked, or a checkpoint cannot be kept where it belongs.',
});

export const auditPassSeconds = new Gauge({
  name: 'lora_audit_pass_seconds',
  help: 'How long the last check of the whole log took.',
});

export const auditSlow = new Gauge({
  name: 'lora_audit_slow',
  help: '1 while checking the whole log takes longer than AUDIT_CHECKPOINT_SECONDS.',
});

export const checkpointPosition = new Gauge({
  name: 'lora_checkpoint_position',
  help: 'Position up to which the newest checkpoint that this replica knows covers the log.',
});
