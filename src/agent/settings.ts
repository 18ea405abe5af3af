import { parseArgs } from 'node:util';

import { isVersion } from './fleet-state.js';
import { type Option, OPTIONS, type OptionName } from './options.js';

export const DRIVER_NAMES = ['vllm', 'sglang', 'llamacpp', 'max', 'reload', 'none'] as const;

export type DriverName = (typeof DRIVER_NAMES)[number];

/** What the operator chose, read once at the start. */
export interface AgentSettings {
  /** Replicas of the control plane, without a slash at the end. */
  readonly urls: readonly string[];
  readonly fleet: string;
  readonly id: string;
  readonly driver: DriverName;
  /** Given unless the driver is `none`. */
  readonly engineUrl: URL | undefined;
  /** Has the token for the control plane. */
  readonly tokenFile: string | undefined;
  readonly stateDir: string;
  readonly port: number;
  readonly adapterPath: (version: string) => string;
  readonly adapterName: (version: string) => string;
  /** The way back from a name; null when it is not one of ours. */
  readonly versionOf: (name: string) => string | null;
  readonly engineKeyFile: string | undefined;
  readonly disableHook: URL | undefined;
  readonly gatewayStripsLora: boolean;
  readonly reconcileMs: number;
  readonly heartbeatMs: number;
  readonly bootGraceMs: number;
  /** 0: none. */
  readonly leaseMs: number;
  readonly unloadMs: number;
  readonly loadMs: number;
}

export class AgentSettingsError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(problems.join('\n'));
  }
}

const FLEET = /^[a-z0-9][a-z0-9-]{0,62}$/;
const ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;
const SECONDS_MAX = 86_400;

type Environment = Readonly<Partial<Record<string, string>>>;

/**
 * Options win over the environment; an empty variable counts as absent: compose files pass those.
 * @param hostName what the engine is called when nobody says
 * @throws AgentSettingsError naming everything that is wrong
 */
export function readAgentSettings(
  args: readonly string[],
  env: Environment,
  hostName: string,
): AgentSettings {
  const problems: string[] = [];
  const given = optionsIn(args);

  function read<T>(
    name: OptionName,
    fallback: string,
    parse: (text: string) => T | undefined,
  ): T | undefined {
    const { env: variable, wanted, secret }: Option = OPTIONS[name];
    const text = (given[name] ?? env[variable] ?? '').trim() || fallback;
    if (text === '') return undefined;
    const value = parse(text);
    const got = secret ? '' : `, not ${JSON.stringify(text)}`;
    if (value === undefined) problems.push(`--${name} (${variable}) must be ${wanted}${got}.`);
    return value;
  }
  const seconds = (name: OptionName, fallback: string, least: number): number =>
    (read(name, fallback, (text) => secondsIn(text, least)) ?? 0) * 1000;

  const driver = read('driver', '', (text) => DRIVER_NAMES.find((name) => name === text));
  const name = read('adapter-name', '{version}', nameTemplateIn) ?? '{version}';
  const path = read('adapter-path', '/adapters/{version}', templateIn) ?? '{version}';
  const settings = {
    urls: read('url', 'http://127.0.0.1:8003', urlsIn) ?? [],
    fleet: read('fleet', 'default', matching(FLEET)) ?? '',
    id: read('id', hostName, matching(ID)) ?? '',
    engineUrl: read('engine-url', '', urlIn),
    tokenFile: read('token-file', '', (text) => text),
    stateDir: read('state-dir', './agent-state', (text) => text) ?? '',
    port: read('port', '8004', portIn) ?? 0,
    adapterPath: (version: string) => path.replaceAll('{version}', () => version),
    adapterName: (version: string) => name.replaceAll('{version}', () => version),
    versionOf: (text: string) => versionIn(text, name),
    engineKeyFile: read('engine-key-file', '', (text) => text),
    disableHook: read('disable-hook', '', urlIn),
    gatewayStripsLora: read('gateway-strips-lora', 'false', booleanIn) ?? false,
    reconcileMs: seconds('reconcile-seconds', '5', 0.01),
    heartbeatMs: seconds('heartbeat-seconds', '5', 0.01),
    bootGraceMs: seconds('boot-grace-seconds', '60', 0),
    leaseMs: seconds('lease-seconds', '0', 0),
    unloadMs: seconds('unload-timeout-seconds', '10', 0.01),
    loadMs: seconds('load-timeout-seconds', '120', 0.01),
  };
  if (driver === undefined && problems.every((problem) => !problem.startsWith('--driver'))) {
    problems.push(`--driver (${OPTIONS.driver.env}) must be given: ${OPTIONS.driver.wanted}.`);
  }
  const urlMissing = settings.engineUrl === undefined && driver !== undefined && driver !== 'none';
  if (urlMissing && problems.every((problem) => !problem.startsWith('--engine-url'))) {
    problems.push(`--engine-url (${OPTIONS['engine-url'].env}) must be given with the driver ${driver}.`);
  }
  if (driver === undefined || problems.length > 0) throw new AgentSettingsError(problems);
  return { ...settings, driver };
}

function optionsIn(args: readonly string[]): Partial<Record<OptionName, string>> {
  const options = Object.fromEntries(
    Object.keys(OPTIONS).map((name) => [
      name,
      { type: name === 'gateway-strips-lora' ? 'boolean' : 'string' },
    ]),
  ) as Record<string, { type: 'string' }>;
  try {
    const { values } = parseArgs({ args: [...args], options, strict: true });
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
  } catch (error) {
    // The sentences after the first explain more than anybody asked.
    const [sentence = ''] = (error as Error).message.split(/\.?(?: |$)(?=[A-Z]|$)/, 1);
    throw new AgentSettingsError([`${sentence}.`]);
  }
}

const matching = (pattern: RegExp) => (text: string) => (pattern.test(text) ? text : undefined);

const templateIn = (text: string) => (text.includes('{version}') ? text : undefined);

/** Once, or the way back from a name would not be sure. */
const nameTemplateIn = (text: string) => (text.split('{version}').length === 2 ? text : undefined);

const booleanIn = (text: string) => (text === 'true' ? true : text === 'false' ? false : undefined);

function urlIn(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // Node's fetch refuses a URL with a name or a password.
  if (!url || !/^https?:$/.test(url.protocol)) return undefined;
  return url.username === '' && url.password === '' ? url : undefined;
}

function urlsIn(text: string): readonly string[] | undefined {
  const urls = text.split(',').map((each) => urlIn(each.trim()));
  if (urls.some((url) => url?.search !== '' || url.hash !== '')) return undefined;
  return [...new Set(urls.map((url) => String(url).replace(/\/+$/, '')))];
}

function portIn(text: string): number | undefined {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined;
}

function secondsIn(text: string, least: number): number | undefined {
  const seconds = /^\d{1,5}(\.\d{1,3})?$/.test(text) ? Number(text) : NaN;
  return seconds >= least && seconds <= SECONDS_MAX ? seconds : undefined;
}

function versionIn(name: string, template: string): string | null {
  const [before = '', after = ''] = template.split('{version}');
  if (name.length < before.length + after.length) return null;
  if (!name.startsWith(before) || !name.endsWith(after)) return null;
  const version = name.slice(before.length, name.length - after.length);
  return isVersion(version) ? version : null;
}
