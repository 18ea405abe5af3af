import { readFileSync } from 'node:fs';

import { describe, expect, it } from '@jest/globals';

import { readSettings, SETTING_NAMES, SettingsError } from '../../src/config/settings.js';
import { VERSION } from '../../src/config/version.js';

const DEFAULTS = {
  port: 8003,
  host: '127.0.0.1',
  databaseUrl: undefined,
  databaseOwnerUrl: undefined,
  dataDir: './data',
  loraEnabled: true,
  activeLoraAdapter: undefined,
  logFormat: 'text',
  streamsMax: 10_000,
  engineTtlSeconds: 15,
  access: 'open',
  accessFile: undefined,
  oidc: undefined,
  trustProxy: [],
  corsOrigins: [],
  auditCheckpointSeconds: 60,
  auditCheckpointDir: undefined,
  auditSigningKeyFile: undefined,
};

/** One line for each bad setting. */
function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    readSettings(env);
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}

describe('readSettings', () => {
  it('has the defaults of the contract', () => {
    expect(readSettings({})).toStrictEqual(DEFAULTS);
  });

  it('takes an empty value for none: compose files pass those', () => {
    const empty = Object.fromEntries(SETTING_NAMES.map((name) => [name, '']));
    expect(readSettings(empty)).toStrictEqual(DEFAULTS);
    const blank = Object.fromEntries(SETTING_NAMES.map((name) => [name, '  ']));
    expect(readSettings(blank)).toStrictEqual(DEFAULTS);
  });

  it('reads every setting', () => {
    expect(
      readSettings({
        PORT: '0',
        HOST: '0.0.0.0',
        DATABASE_URL: 'postgres://service@db/lora',
        DATABASE_OWNER_URL: 'postgresql://owner:secret@db:5432/lora?sslmode=require',
        DATA_DIR: '/var/lib/lora',
        LORA_ENABLED: 'false',
        ACTIVE_LORA_ADAPTER: 'v1.2',
        LOG_FORMAT: 'json',
        STREAMS_MAX: '7',
        ENGINE_TTL_SECONDS: '30',
        ACCESS_FILE: '/run/secrets/access.json',
        OIDC_ISSUER: 'https://idp.example/realms/ops',
        OIDC_AUDIENCE: 'lora',
        OIDC_ROLES_CLAIM: 'realm_access.roles',
        OIDC_FLEETS_CLAIM: 'lora_fleets',
        TRUST_PROXY: 'uniquelocal, 192.0.2.0/24,2001:db8::1',
        CORS_ORIGINS: 'https://ops.example, http://localhost:3000',
        AUDIT_CHECKPOINT_SECONDS: '5',
        AUDIT_CHECKPOINT_DIR: '/mnt/worm',
        AUDIT_SIGNING_KEY_FILE: '/run/secrets/audit.pem',
        SOMETHING_ELSE: 'is not ours',
      }),
    ).toStrictEqual({
      port: 0,
      host: '0.0.0.0',
      databaseUrl: 'postgres://service@db/lora',
      databaseOwnerUrl: 'postgresql://owner:secret@db:5432/lora?sslmode=require',
      dataDir: '/var/lib/lora',
      loraEnabled: false,
      activeLoraAdapter: 'v1.2',
      logFormat: 'json',
      streamsMax: 7,
      engineTtlSeconds: 30,
      access: 'required',
      accessFile: '/run/secrets/access.json',
      oidc: {
        issuer: 'https://idp.example/realms/ops',
        audience: 'lora',
        rolesClaim: 'realm_access.roles',
        fleetsClaim: 'lora_fleets',
      },
      trustProxy: ['uniquelocal', '192.0.2.0/24', '2001:db8::1'],
      corsOrigins: ['https://ops.example', 'http://localhost:3000'],
      auditCheckpointSeconds: 5,
      auditCheckpointDir: '/mnt/worm',
      auditSigningKeyFile: '/run/secrets/audit.pem',
    });
    expect(readSettings({ LORA_ENABLED: ' true ', PORT: ' 65535 ' })).toMatchObject({
      loraEnabled: true,
      port: 65535,
    });
  });

  it.each([
    ['PORT', ['-1', '65536', '80.5', '8003x', '0x10', '1e3', 'http']],
    ['DATABASE_URL', ['db', 'mysql://db/lora', 'http://db/lora', '//db/lora']],
    ['LORA_ENABLED', ['False', 'TRUE', 'yes', '1', '0', 'off', 'null']],
    ['ACTIVE_LORA_ADAPTER', ['-v1', 'v 1', '../v1', 'v/1', 'vé', 'v'.repeat(129)]],
    ['LOG_FORMAT', ['JSON', 'pretty']],
    ['ACCESS', ['Open', 'none', 'off', 'required']],
    ['TRUST_PROXY', ['true', '1', '0.0.0.0/0', '::/0', '10.0.0.0/33', '10.0.0.0/8/8', 'proxy', '10.0.0.1,,']],
    [
      'CORS_ORIGINS',
      ['*', 'ops.example', 'https://ops.example/', 'https://ops.example/x', 'null', 'file://x'],
    ],
  ])('refuses a bad %s with a line that names it', (name, values) => {
    for (const value of values) {
      const problems = problemsOf({ [name]: value });
      expect([value, problems.length]).toStrictEqual([value, 1]);
      expect(problems[0]).toMatch(new RegExp(`^${name} must be `));
      if (name !== 'DATABASE_URL') expect(problems[0]).toContain(JSON.stringify(value));
    }
  });

  it('never turns a misspelt LORA_ENABLED into a default', () => {
    expect(() => readSettings({ LORA_ENABLED: 'flase' })).toThrow(SettingsError);
  });

  it('names every bad setting at once', () => {
    const problems = problemsOf({ PORT: 'x', LORA_ENABLED: 'x', LOG_FORMAT: 'x', ACTIVE_LORA_ADAPTER: '!' });
    expect(problems.map((line) => line.split(' ')[0])).toStrictEqual([
      'PORT',
      'LORA_ENABLED',
      'ACTIVE_LORA_ADAPTER',
      'LOG_FORMAT',
    ]);
  });

  it('never prints a password', () => {
    const secret = { DATABASE_URL: 'mysql://u:hunter2@db/x', DATABASE_OWNER_URL: 'mysql://u:hunter2@db/x' };
    const problems = problemsOf(secret);
    expect(problems).toHaveLength(2);
    expect(problems.join()).not.toContain('hunter2');
  });

  it.each(['0.0.0.0', '::', '10.0.0.7', 'lora.internal'])(
    'opens %s to everybody only when told in as many words',
    (host) => {
      expect(problemsOf({ HOST: host })).toStrictEqual([
        `HOST=${host} can be reached from elsewhere, and nobody is asked who calls: ` +
          'set ACCESS_FILE or OIDC_ISSUER, or ACCESS=open when that is meant.',
      ]);
      expect(readSettings({ HOST: host, ACCESS: 'open' }).access).toBe('open');
      expect(readSettings({ HOST: host, ACCESS_FILE: 'access.json' }).access).toBe('required');
    },
  );

  it.each(['127.0.0.1', '127.1.2.3', '::1', 'localhost', '::ffff:127.0.0.1'])(
    'is open on %s, which others cannot reach',
    (host) => {
      expect(readSettings({ HOST: host }).access).toBe('open');
    },
  );

  it('does not choose between an open door and an access file', () => {
    expect(problemsOf({ ACCESS: 'open', ACCESS_FILE: 'access.json' })).toStrictEqual([
      'ACCESS=open says that nobody is asked who calls, and ACCESS_FILE or OIDC_ISSUER who may: choose one.',
    ]);
  });

  it.each<Record<string, string>>([
    { OIDC_ISSUER: 'https://idp.example' },
    { OIDC_AUDIENCE: 'lora' },
    { OIDC_ROLES_CLAIM: 'roles' },
    { OIDC_AUDIENCE: 'lora', OIDC_FLEETS_CLAIM: 'fleets' },
  ])('takes no half of an issuer: %j', (env) => {
    expect(problemsOf(env)).toStrictEqual([
      'OIDC_ISSUER and OIDC_AUDIENCE go together, and no other OIDC_ setting without them.',
    ]);
  });

  it('asks an issuer over TLS, but for one on this machine', () => {
    const taken = (OIDC_ISSUER: string) =>
      problemsOf({ OIDC_ISSUER, OIDC_AUDIENCE: 'lora', HOST: '0.0.0.0' }).length === 0;
    expect(
      ['https://idp.example', 'http://127.0.0.1:8080', 'http://[::1]/x', 'http://localhost'].map(taken),
    ).toEqual([true, true, true, true]);
    expect(
      ['http://idp.example', 'idp.example', 'ftp://127.0.0.1', 'http://127.evil.example'].map(taken),
    ).toEqual([false, false, false, false]);
  });

  it('refuses an owner without a service', () => {
    expect(problemsOf({ DATABASE_OWNER_URL: 'postgres://owner@db/lora' })).toStrictEqual([
      'DATABASE_OWNER_URL needs DATABASE_URL beside it.',
    ]);
  });
});

it('VERSION is that of package.json', () => {
  const file = new URL('../../package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  expect(VERSION).toBe(version);
});
