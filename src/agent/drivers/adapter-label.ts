import type { DriverSettings } from '../driver.js';
import { isVersion } from '../fleet-state.js';

/** An adapter as its engine lists it. */
export interface ListedAdapter {
  readonly name: string;
  /** From where it was loaded; undefined where the engine does not tell. */
  readonly path?: string | undefined;
}

type Naming = Pick<DriverSettings, 'adapterPath' | 'adapterName' | 'versionOf'>;

/**
 * What an adapter is called outside its driver: the version, if it is that version under its own name and from its own
 * path; else a text which no version can be mistaken for.
 */
export function labelOf({ name, path }: ListedAdapter, naming: Naming): string {
  const version = naming.versionOf(name);
  if (version === null) return foreignLabel(name);
  return path === undefined || path === naming.adapterPath(version) ? version : `${name} (from ${path})`;
}

/** Somebody else's adapter may have a name like a version: as that version it would look loaded. */
export function foreignLabel(name: string): string {
  return isVersion(name) ? `${name} (not ours)` : name;
}
