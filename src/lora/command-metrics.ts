import { Counter } from 'prom-client';

import { Problem } from '../http/problem.js';
import type { LoraCommand } from './domain/commands.js';
import { LogUnavailable, Refusal } from './domain/errors.js';

const commands = new Counter({
  name: 'lora_commands_total',
  help: 'Commands by type and outcome: appended, replayed, unchanged, a problem code, or unavailable-none/-unknown.',
  labelNames: ['type', 'outcome'] as const,
});

const TYPES: Readonly<Record<LoraCommand['type'], true>> = {
  InitializeFleet: true,
  DisableLora: true,
  EnableLora: true,
  RollBackLora: true,
  DeployAdapter: true,
};

// From the start, at 0: a series that begins with its first command has not increased, and would alarm nobody.
for (const type of Object.keys(TYPES))
  for (const outcome of ['unavailable-none', 'unavailable-unknown']) commands.inc({ type, outcome }, 0);

export function countOutcome(type: LoraCommand['type'], outcome: string): void {
  commands.inc({ type, outcome });
}

export function countFailure(type: LoraCommand['type'], error: unknown): void {
  if (error instanceof Refusal) countOutcome(type, error.code);
  else if (error instanceof LogUnavailable) countOutcome(type, `unavailable-${error.outcome ?? 'none'}`);
  else if (error instanceof Problem) countOutcome(type, error.code);
  else countOutcome(type, 'failed');
}
