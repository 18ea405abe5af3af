import type { LoraCommand } from './commands.js';
import { Refusal } from './errors.js';
import type { LoraEvent } from './events.js';
import { currentVersion, type FleetState, rollbackTarget } from './state.js';

/** A kill that committed after the generation a command had been confirmed under. */
export interface Kill {
  readonly actor: string;
  readonly reason: string;
  /** RFC 3339, as the log recorded it. */
  readonly recordedAt: string;
}

/** What happened to the fleet between a command's arrival (its confirmed generation) and its decision. */
export interface Meanwhile {
  readonly kill: Kill | null;
  /** Whether the current version changed, also where it has come back since. */
  readonly versionChanged: boolean;
}

/**
 * Decides one command on the committed state of its fleet.
 * @param meanwhile null where nothing can have come between: a kill, the making of a fleet
 * @returns the event to append; null when the fleet to be made exists already
 * @throws Refusal when the command must not take effect
 */
export function decide(
  command: LoraCommand,
  state: FleetState | null,
  meanwhile: Meanwhile | null,
): LoraEvent | null {
  if (command.type === 'InitializeFleet') return initialize(command, state);
  if (state === null) throw new Refusal('unknown-fleet', `There is no fleet ${command.fleet}.`, null);

  const fact = {
    fleet: command.fleet,
    adapter_version: null,
    from_version: currentVersion(state),
    to_version: currentVersion(state),
    enabled: state.enabled,
    reason: command.reason,
    reference: command.reference,
  };
  // A kill is taken in every state, whatever came before it.
  if (command.type === 'DisableLora') return { ...fact, type: 'LoraDisabled', enabled: false };

  if (meanwhile?.kill) throw killedMeanwhile(meanwhile.kill, state);
  const version = command.adapterVersion;
  switch (command.type) {
    case 'EnableLora':
      return {
        ...fact,
        type: 'LoraEnabled',
        enabled: true,
        adapter_version: version,
        to_version: version ?? currentVersion(state),
      };
    case 'RollBackLora':
      if (version === null && meanwhile?.versionChanged) throw steppedAlready(state);
      return {
        ...fact,
        type: 'LoraRolledBack',
        adapter_version: version,
        to_version: version ?? rollbackTarget(state),
      };
    case 'DeployAdapter':
      if (!state.enabled) throw killSwitchActive(state);
      return {
        ...fact,
        type: 'AdapterDeployed',
        enabled: true,
        adapter_version: command.adapterVersion,
        to_version: command.adapterVersion,
      };
    default:
      return unreachable(command);
  }
}

function initialize(
  command: LoraCommand & { type: 'InitializeFleet' },
  state: FleetState | null,
): LoraEvent | null {
  if (state !== null) return null;
  return {
    type: 'LoraInitialized',
    fleet: command.fleet,
    adapter_version: command.adapterVersion,
    from_version: null,
    to_version: command.adapterVersion,
    enabled: command.enabled,
    reason: command.reason,
    reference: command.reference,
  };
}

function killSwitchActive(state: FleetState): Refusal {
  return new Refusal(
    'kill-switch-active',
    'LoRA is disabled by kill-switch. Re-enable via POST /lora/enable before deploying adapters.',
    state,
  );
}

function killedMeanwhile(kill: Kill, state: FleetState): Refusal {
  return new Refusal(
    'killed-meanwhile',
    `LoRA was disabled at ${kill.recordedAt} by ${kill.actor} (${kill.reason}) after this command had arrived; ` +
      'only a command sent after the kill can lift it.',
    state,
  );
}

function steppedAlready(state: FleetState): Refusal {
  return new Refusal(
    'generation-mismatch',
    `The current version changed after this rollback had arrived (now ${currentVersion(state) ?? 'the base model'}); ` +
      'it was not rolled back a second step.',
    state,
  );
}

function unreachable(value: never): never {
  throw new Error(`Unknown command ${JSON.stringify(value)}`);
}
