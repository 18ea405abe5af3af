import type {
  DeployAdapter,
  DisableLora,
  EnableLora,
  InitializeFleet,
  RollBackLora,
} from './domain/commands.js';
import type { CommandBody, InitializeFleetBody, VersionedBody } from './lora.dto.js';

/** From what a caller sends to the command it means, with the contract's defaults. */

function common(fleet: string, { reason, reference }: CommandBody, defaultReason = 'manual_operation') {
  return { fleet, reason: reason ?? defaultReason, reference: reference ?? null };
}

export function disableCommand(fleet: string, body: CommandBody): DisableLora {
  return { type: 'DisableLora', ...common(fleet, body) };
}

export function enableCommand(fleet: string, body: VersionedBody): EnableLora {
  return { type: 'EnableLora', ...common(fleet, body), adapterVersion: body.adapter_version ?? null };
}

export function rollBackCommand(fleet: string, body: VersionedBody): RollBackLora {
  return { type: 'RollBackLora', ...common(fleet, body), adapterVersion: body.adapter_version ?? null };
}

export function deployCommand(fleet: string, version: string, body: CommandBody): DeployAdapter {
  return { type: 'DeployAdapter', ...common(fleet, body, 'manual_deploy'), adapterVersion: version };
}

export function initializeCommand(fleet: string, body: InitializeFleetBody): InitializeFleet {
  const { enabled = true, adapter_version = null } = body;
  return { type: 'InitializeFleet', ...common(fleet, body), enabled, adapterVersion: adapter_version };
}
