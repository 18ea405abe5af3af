import { isIP } from 'node:net';

import { ADAPTER_VERSION_PATTERN } from '../lora/domain/names.js';
import { isLoopback } from './loopback.js';

/** Who signs tokens, and what is read of them. */
export interface OidcSettings {
  /** Exactly as its tokens name it. */
  readonly issuer: string;
  readonly audience: string;
  /** The claim that has the roles: its name, or a way of names with dots between. */
  readonly rolesClaim: string;
  /** The claim that has the fleets; absent: every token is for all. */
  readonly fleetsClaim: string | undefined;
}

/** What the operator chose, read once from the environment at start. Nothing else reads `process.env`. */
export interface Settings {
  readonly port: number;
  readonly host: string;
  /** Where the log lives; absent means the embedded PostgreSQL inside `dataDir`. */
  readonly databaseUrl: string | undefined;
  /** The role that migrates and owns the tables; absent means that of `databaseUrl` does. */
  readonly databaseOwnerUrl: string | undefined;
  readonly dataDir: string;
  /** State in which the fleet `default` is made; speaks only to a log that has nothing of it. */
  readonly loraEnabled: boolean;
  readonly activeLoraAdapter: string | undefined;
  readonly logFormat: 'text' | 'json';
  /** Streams and waiting reads that one replica serves at a time. */
  readonly streamsMax: number;
  /** An engine that has not been heard of for so long is lost. */
  readonly engineTtlSeconds: number;
  /** Whether callers have to say who they are. */
  readonly access: 'open' | 'required';
  /** The file of those who may call, by the hashes of their tokens. */
  readonly accessFile: string | undefined;
  readonly oidc: OidcSettings | undefined;
  /** Proxies, by address or subnet, that are believed when they say for whom they call. */
  readonly trustProxy: readonly string[];
  /** Origins whose pages may call from a browser. */
  readonly corsOrigins: readonly string[];
  /** How often a checkpoint is taken when there is something new, and the past is checked. */
  readonly auditCheckpointSeconds: number;
  /** Where each checkpoint is also written as a file. */
  readonly auditCheckpointDir: string | undefined;
  /** The key that signs checkpoints; absent: the embedded PostgreSQL has one beside it, and no other signs. */
  readonly auditSigningKeyFile: string | undefined;
}

/** The environment variables behind {@link Settings}: what README, compose file and tests may name. */
export const SETTING_NAMES = [
  'PORT',
  'HOST',
  'DATABASE_URL',
  'DATABASE_OWNER_URL',
  'DATA_DIR',
  'LORA_ENABLED',
  'ACTIVE_LORA_ADAPTER',
  'LOG_FORMAT',
  'STREAMS_MAX',
  'ENGINE_TTL_SECONDS',
  'ACCESS',
  'ACCESS_FILE',
  'OIDC_ISSUER',
  'OIDC_AUDIENCE',
  'OIDC_ROLES_CLAIM',
  'OIDC_FLEETS_CLAIM',
  'TRUST_PROXY',
  'CORS_ORIGINS',
  'AUDIT_CHECKPOINT_SECONDS',
  'AUDIT_CHECKPOINT_DIR',
  'AUDIT_SIGNING_KEY_FILE',
] as const;

export const SETTINGS = Symbol('SETTINGS');

/** The start stops with one line for every setting that is wrong. */
export class SettingsError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'SettingsError';
  }
}

type Name = (typeof SETTING_NAMES)[number];

function port(text: string): number | undefined {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65535 ? Number(text) : undefined;
}

function positive(text: string): number | undefined {
  return /^[1-9]\d{0,5}$|^1000000$/.test(text) ? Number(text) : undefined;
}

function postgresUrl(text: string): string | undefined {
  return URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol) ? text : undefined;
}

function listOf(accept: (each: string) => boolean) {
  return (text: string): readonly string[] | undefined => {
    const list = text.split(',').map((each) => each.trim());
    return list.every(accept) ? list : undefined;
  };
}

/** `uniquelocal` is what private networks use, those of containers too. */
function isProxy(text: string): boolean {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true;
  const [address = '', bits, ...more] = text.split('/');
  const width = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  if (more.length > 0 || width < 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) >= 1 && Number(bits) <= width);
}

/** What comes over the network unprotected could be anybody's. On this machine it comes over none. */
export function isSafeAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname.replace(/[[\]]/g, '')));
}

function isOrigin(text: string): boolean {
  return /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}

function oneOf<const T extends string>(...allowed: readonly T[]) {
  return (text: string): T | undefined => allowed.find((each) => each === text);
}

/**
 * Reads and checks the settings. An empty value counts as absent: compose files pass those.
 * @throws SettingsError naming every bad setting, not only the first
 */
export function readSettings(env: Readonly<Partial<Record<string, string>>>): Settings {
  const problems: string[] = [];

  function read<T>(name: Name, parse: (text: string) => T | undefined, wanted: string): T | undefined {
    const text = env[name]?.trim();
    if (text === undefined || text === '') return undefined;
    const value = parse(text);
    // A URL carries a password: name the setting, never print its value.
    const got = name.endsWith('_URL') ? '' : `, not ${JSON.stringify(text)}`;
    if (value === undefined) problems.push(`${name} must be ${wanted}${got}.`);
    return value;
  }

  function readOidc(): OidcSettings | undefined {
    const text = (value: string) => value;
    const issuer = read(
      'OIDC_ISSUER',
      (value) => (isSafeAddress(value) ? value : undefined),
      'an https:// URL',
    );
    const audience = read('OIDC_AUDIENCE', text, 'a text');
    const rolesClaim = read('OIDC_ROLES_CLAIM', text, "a claim's name");
    const fleetsClaim = read('OIDC_FLEETS_CLAIM', text, "a claim's name");
    if (issuer !== undefined && audience !== undefined)
      return { issuer, audience, rolesClaim: rolesClaim ?? 'roles', fleetsClaim };
    const isSet = [issuer, audience, rolesClaim, fleetsClaim].some((each) => each !== undefined);
    if (isSet)
      problems.push('OIDC_ISSUER and OIDC_AUDIENCE go together, and no other OIDC_ setting without them.');
    return undefined;
  }

  const url = 'a postgres:// URL';
  const access = read('ACCESS', oneOf('open'), '"open", or absent');
  const accessFile = read('ACCESS_FILE', (text) => text, 'a file');
  const oidc = readOidc();
  const settings: Settings = {
    port: read('PORT', port, 'a port number from 0 to 65535') ?? 8003,
    host: read('HOST', (text) => text, 'an address') ?? '127.0.0.1',
    databaseUrl: read('DATABASE_URL', postgresUrl, url),
    databaseOwnerUrl: read('DATABASE_OWNER_URL', postgresUrl, url),
    dataDir: read('DATA_DIR', (text) => text, 'a folder') ?? './data',
    loraEnabled: read('LORA_ENABLED', oneOf('true', 'false'), 'true or false') !== 'false',
    activeLoraAdapter: read(
      'ACTIVE_LORA_ADAPTER',
      (text) => (ADAPTER_VERSION_PATTERN.test(text) ? text : undefined),
      'an adapter version such as v1.2',
    ),
    logFormat: read('LOG_FORMAT', oneOf('text', 'json'), 'text or json') ?? 'text',
    streamsMax: read('STREAMS_MAX', positive, 'a number from 1 to 1000000') ?? 10_000,
    engineTtlSeconds: read('ENGINE_TTL_SECONDS', positive, 'a number of seconds from 1 to 1000000') ?? 15,
    access: accessFile === undefined && oidc === undefined ? 'open' : 'required',
    accessFile,
    oidc,
    trustProxy:
      read('TRUST_PROXY', listOf(isProxy), 'addresses or subnets of proxies, with commas between') ?? [],
    corsOrigins:
      read('CORS_ORIGINS', listOf(isOrigin), 'origins such as https://ops.example, with commas between') ??
      [],
    auditCheckpointSeconds:
      read('AUDIT_CHECKPOINT_SECONDS', positive, 'a number of seconds from 1 to 1000000') ?? 60,
    auditCheckpointDir: read('AUDIT_CHECKPOINT_DIR', (text) => text, 'a folder'),
    auditSigningKeyFile: read('AUDIT_SIGNING_KEY_FILE', (text) => text, 'a file'),
  };
  if (settings.databaseOwnerUrl !== undefined && settings.databaseUrl === undefined) {
    problems.push('DATABASE_OWNER_URL needs DATABASE_URL beside it.');
  }
  if (access === 'open' && settings.access === 'required') {
    problems.push(
      'ACCESS=open says that nobody is asked who calls, and ACCESS_FILE or OIDC_ISSUER who may: choose one.',
    );
  }
  if (access !== 'open' && settings.access === 'open' && !isLoopback(settings.host)) {
    problems.push(
      `HOST=${settings.host} can be reached from elsewhere, and nobody is asked who calls: ` +
        'set ACCESS_FILE or OIDC_ISSUER, or ACCESS=open when that is meant.',
    );
  }
  if (problems.length > 0) throw new SettingsError(problems);
  return settings;
}
