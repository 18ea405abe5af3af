import { Counter, Gauge } from 'prom-client';

import { REFUSAL_CODES } from './refusals.js';

export const accessFileBroken = new Gauge({
  name: 'lora_access_file_broken',
  help: '1 while ACCESS_FILE cannot be used as it is, and the last good one stays in force.',
});

export const accessFileDigest = new Gauge({
  name: 'lora_access_file_digest',
  help: 'The first 12 hex digits of the SHA-256 of the access file that is in force, as a number; 0 without one.',
});

export const oidcKeysAge = new Gauge({
  name: 'lora_oidc_keys_age_seconds',
  help: 'How long ago the issuer of OIDC_ISSUER confirmed its keys; 0 without one.',
});

export const refusals = new Counter({
  name: 'lora_refusals_total',
  help: 'Calls that were refused, by the code of the answer: of unknown callers, forbidden ones, and what the state forbids.',
  labelNames: ['code'] as const,
});
for (const code of REFUSAL_CODES) refusals.inc({ code }, 0);
