import { currentVersion, type FleetState } from './state.js';

/** The boot-time flags. They made the fleet `default` once and never override it later. */
export interface Flags {
  readonly loraEnabled: boolean;
  readonly activeLoraAdapter: string | undefined;
}

/** Where the flags say something else than the state, one sentence each; an unset adapter says nothing. */
export function differencesFromFlags(flags: Flags, state: FleetState): string[] {
  const differences: string[] = [];
  if (flags.loraEnabled !== state.enabled) {
    differences.push(
      `LORA_ENABLED is ${flags.loraEnabled}, the log says ${state.enabled ? 'ENABLED' : 'DISABLED'}.`,
    );
  }
  const current = currentVersion(state);
  if (flags.activeLoraAdapter !== undefined && flags.activeLoraAdapter !== current) {
    differences.push(
      `ACTIVE_LORA_ADAPTER is ${flags.activeLoraAdapter}, the log says ${current ?? 'the base model'}.`,
    );
  }
  return differences;
}
