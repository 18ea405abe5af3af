import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { readSettings, SETTING_NAMES } from '../../src/config/settings.js';

/** What a compose file of ours may hold; the rest is not looked at. */
interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly restart?: string;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

type Env = Readonly<Partial<Record<string, string>>>;

function file(name: string): string {
  return readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
}

/** Compose's `${NAME:-default}`, the one form we use: an empty variable counts as absent. */
function interpolate(text: string, env: Env): string {
  return text.replace(
    /\$\{(\w+):-([^}]*)\}/g,
    (_, name: string, fallback: string) => [env[name], fallback].find(Boolean) ?? '',
  );
}

function compose(env: Env = {}): Compose {
  // As compose does it: first the YAML, then the values in it, so that ${LORA_ENABLED:-true} is a text.
  return parse(file('docker-compose.yml'), (_, value: unknown) =>
    typeof value === 'string' ? interpolate(value, env) : value,
  ) as Compose;
}

/** `ENV`, `USER` and the like of the last stage; `\` joins lines as in a shell. */
function instructions(dockerfile: string): { readonly name: string; readonly rest: string }[] {
  return dockerfile
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => ({ name: line.split(' ', 1)[0] ?? '', rest: line.slice(line.indexOf(' ') + 1) }));
}

const { 'signing-key': keyMaker, ...lasting } = compose().services;
const services = Object.entries(lasting);
const replicas = services.filter(([, service]) => service.build !== undefined);
const dockerfile = instructions(file('Dockerfile'));
const production = dockerfile.slice(dockerfile.findLastIndex(({ name }) => name === 'FROM'));
const imageEnv: Env = Object.fromEntries(
  production
    .filter(({ name }) => name === 'ENV')
    .flatMap(({ rest }) => rest.split(' '))
    .map((pair) => pair.split('=', 2) as [string, string]),
);
const nginx = file('deploy/nginx/nginx.conf').replaceAll(/^\s*#.*\n/gm, '');

function last(name: string): string | undefined {
  return production.findLast((instruction) => instruction.name === name)?.rest;
}

/** Everything a directive was given, once for each time it stands in nginx.conf. */
function directive(name: string, within = nginx): string[] {
  return [...within.matchAll(new RegExp(`^\\s*${name}\\s+([^;]*);`, 'gm'))].map((match) => match[1] ?? '');
}

/** The body of a block without blocks inside it. */
function block(opening: string): string {
  const start = nginx.indexOf(`${opening} {`);
  expect(start).toBeGreaterThan(-1);
  return nginx.slice(start, nginx.indexOf('}', start));
}

describe('docker-compose.yml', () => {
  it('has PostgreSQL, two replicas and one front', () => {
    expect(services.map(([name]) => name).sort()).toEqual(['nginx', 'postgres', 'replica-1', 'replica-2']);
    expect(replicas.map(([name]) => name)).toEqual(['replica-1', 'replica-2']);
  });

  it.each(replicas)('%s sets only what the settings know', (_, { environment = {} }) => {
    expect(SETTING_NAMES).toEqual(expect.arrayContaining(Object.keys(environment)));
  });

  it.each(replicas)('%s starts with nothing set by the operator', (_, { environment = {} }) => {
    const settings = readSettings({ ...imageEnv, ...environment });
    expect(settings).toMatchObject({
      host: '0.0.0.0',
      loraEnabled: true,
      activeLoraAdapter: undefined,
      logFormat: 'json',
      access: 'open',
    });
  });

  it('hands the flags and passwords of the operator to each replica', () => {
    const env = {
      LORA_ENABLED: 'false',
      ACTIVE_LORA_ADAPTER: 'v1.2',
      LORA_OWNER_PASSWORD: 'own-1',
      LORA_SERVICE_PASSWORD: 'serve-2',
    };
    const { services: set } = compose(env);
    expect(set.postgres?.environment).toMatchObject({ POSTGRES_PASSWORD: 'own-1' });
    for (const [name] of replicas) {
      expect(readSettings({ ...imageEnv, ...set[name]?.environment })).toMatchObject({
        loraEnabled: false,
        activeLoraAdapter: 'v1.2',
        databaseUrl: 'postgres://lora_service:serve-2@postgres:5432/lora',
        databaseOwnerUrl: 'postgres://lora_owner:own-1@postgres:5432/lora',
      });
    }
  });

  it('gives the replicas the database and owner that PostgreSQL makes, and a role of their own', () => {
    const made = compose().services.postgres?.environment ?? {};
    for (const [, { environment = {} }] of replicas) {
      const { databaseUrl, databaseOwnerUrl } = readSettings(environment);
      const [service, owner] = [new URL(databaseUrl ?? ''), new URL(databaseOwnerUrl ?? '')];
      expect(made).toEqual({
        POSTGRES_DB: owner.pathname.slice(1),
        POSTGRES_USER: owner.username,
        POSTGRES_PASSWORD: owner.password,
      });
      expect(service.host).toBe(owner.host);
      expect(service.pathname).toBe(owner.pathname);
      expect(service.username).not.toBe(owner.username);
    }
  });

  it('publishes one port, to this machine only', () => {
    const published = services.flatMap(([name, { ports = [] }]) => ports.map((port) => [name, port]));
    expect(published).toEqual([['nginx', `127.0.0.1:8003:${String(directive('listen')[0])}`]]);
  });

  it.each(services)('%s is checked and comes back', (_, { build, restart, healthcheck }) => {
    expect(restart).toBe('unless-stopped');
    expect(healthcheck?.disable).toBeUndefined();
    // A check without a command of its own is that of the image, which for the replicas is ours.
    expect(healthcheck?.test ?? (build === '.' && last('HEALTHCHECK'))).toBeTruthy();
  });

  it('signs checkpoints, with a key that is made once and kept in a volume that the replicas only read', () => {
    const { scripts } = JSON.parse(file('package.json')) as { scripts: Record<string, string> };
    expect(keyMaker?.build).toBe('.');
    expect(keyMaker?.command?.join(' ')).toBe(scripts['audit:key']);
    // It ends: it is neither started again nor asked how it is.
    expect([keyMaker?.restart, keyMaker?.healthcheck]).toEqual([undefined, { disable: true }]);
    const { auditSigningKeyFile: made = '' } = readSettings({ ...imageEnv, ...keyMaker?.environment });
    const folder = dirname(made);
    expect(keyMaker?.volumes).toEqual([`keys:${folder}`]);
    expect(Object.keys(compose().volumes)).toContain('keys');
    // The volume begins as the image's folder: its user can write there.
    expect(last('RUN')).toContain(folder);
    expect(last('RUN')).toMatch(new RegExp(`chown node [^&]*${folder}\\b`));
    for (const [, { environment, volumes }] of replicas) {
      expect(readSettings({ ...imageEnv, ...environment }).auditSigningKeyFile).toBe(made);
      expect(volumes).toEqual([`keys:${folder}:ro`]);
    }
  });

  it('waits for what each service needs to be healthy', () => {
    const needs = services.map(([name, service]) => [name, service.depends_on]);
    const healthy = { condition: 'service_healthy' };
    const needed = { postgres: healthy, 'signing-key': { condition: 'service_completed_successfully' } };
    expect(Object.fromEntries(needs)).toEqual({
      postgres: undefined,
      'replica-1': needed,
      'replica-2': needed,
      nginx: { 'replica-1': healthy, 'replica-2': healthy },
    });
  });

  it('keeps the log in a named volume, where the image of PostgreSQL 18 has its data', () => {
    const { services: set, volumes } = compose();
    expect(set.postgres?.image).toMatch(/^postgres:18\b/);
    const [volume, path] = set.postgres?.volumes?.[0]?.split(':') ?? [];
    expect(Object.keys(volumes)).toEqual([volume, 'keys']);
    expect(path).toBe('/var/lib/postgresql');
  });

  it('mounts the nginx.conf that is tested here', () => {
    expect(compose().services.nginx?.volumes).toEqual(['./deploy/nginx/nginx.conf:/etc/nginx/nginx.conf:ro']);
  });
});

describe('Dockerfile', () => {
  it('starts the file that start:prod starts, in exec form', () => {
    const { scripts } = JSON.parse(file('package.json')) as { scripts: Record<string, string> };
    const command = JSON.parse(last('CMD') ?? '') as string[];
    expect(`exec ${command.join(' ')}`).toBe(scripts['start:prod']);
    // The tests run on a finished build.
    expect(() => file(command.at(-1) ?? '')).not.toThrow();
  });

  it('ends in a stage on Node 24 that does not run as root', () => {
    expect(production[0]?.rest).toMatch(/^node:24-/);
    expect(last('USER')).toBe('node');
  });

  it('leaves tools and the embedded PostgreSQL out', () => {
    const installs = production.filter(({ rest }) => rest.startsWith('npm ci')).map(({ rest }) => rest);
    expect(installs).toEqual([expect.stringMatching(/--omit=dev .*--omit=optional/)]);
  });

  it('sets only what the settings know, and exposes the port they give', () => {
    expect(imageEnv).toMatchObject({ NODE_ENV: 'production' });
    expect([...SETTING_NAMES, 'NODE_ENV']).toEqual(expect.arrayContaining(Object.keys(imageEnv)));
    expect(last('EXPOSE')).toBe(String(readSettings({ ...imageEnv, ACCESS: 'open' }).port));
  });

  it('lets nobody in from elsewhere unless it is told who may', () => {
    expect(() => readSettings(imageEnv)).toThrow(
      /^HOST=0\.0\.0\.0 .* set ACCESS_FILE or OIDC_ISSUER, or ACCESS=open/,
    );
  });

  it('checks that the process turns, not that it can reach its database', () => {
    expect(last('HEALTHCHECK')).toContain('/health/live');
  });

  it('copies nothing that .dockerignore holds back', () => {
    const allowed = file('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = dockerfile
      .filter(({ name, rest }) => name === 'COPY' && !rest.startsWith('--from='))
      .flatMap(({ rest }) => rest.split(' ').slice(0, -1))
      .map((path) => path.replace(/^\.\//, ''));
    expect(new Set(copied)).toEqual(new Set(allowed));
  });
});

describe('nginx.conf', () => {
  const upstream = block('upstream replicas');
  const stream = block('location = /lora/stream');

  it('passes to the replicas, on the port they listen on, and to nothing else', () => {
    const servers = directive('server', upstream).map((server) => server.split(' ')[0]);
    const expected = replicas.map(([name, { environment }]) => {
      return `${name}:${String(readSettings({ ...imageEnv, ...environment }).port)}`;
    });
    expect(new Set(servers)).toEqual(new Set(expected));
    expect(new Set(directive('proxy_pass'))).toEqual(new Set(['http://replicas']));
  });

  it('outlasts a waiting read of 60 s', () => {
    const timeouts = directive('proxy_read_timeout');
    expect(timeouts).not.toEqual([]);
    for (const timeout of timeouts) {
      expect(timeout).toMatch(/^\d+s$/);
      expect(parseInt(timeout, 10)).toBeGreaterThan(65);
    }
  });

  it('hands each event of a stream on at once', () => {
    expect(directive('proxy_buffering', stream)).toEqual(['off']);
    expect(directive('proxy_cache', stream)).toEqual(['off']);
    expect(directive('proxy_http_version')).toEqual(['1.1']);
    expect(directive('proxy_set_header')).toContain('Connection ""');
  });

  it('never sends a command twice, and judges a replica by its connection, not by its answers', () => {
    expect(nginx).not.toContain('non_idempotent');
    expect(directive('proxy_next_upstream')).toEqual(['error timeout']);
    // A command sent on a kept connection that is being closed could be neither repeated nor answered.
    expect(directive('keepalive', upstream)).toEqual(['0']);
  });

  it('finds out within a second that a replica is gone, and that it is back', () => {
    expect(directive('proxy_connect_timeout')).toEqual(['1s']);
    const remembering = directive('server', upstream).filter((server) => !server.includes('max_fails=0'));
    expect(remembering).toEqual(replicas.map(() => expect.stringContaining('fail_timeout=1s')));
  });

  it('refuses no body: a kill may come with any', () => {
    expect(directive('client_max_body_size')).toEqual(['0']);
  });

  it('gives a command a key, and names it when no replica answers, unless it could break the document', () => {
    expect(block('map $http_idempotency_key $idempotency_key_passed')).toMatch(
      /"" +\$request_id;\s+default \$http_idempotency_key;/,
    );
    expect(directive('proxy_set_header')).toContain('Idempotency-Key $idempotency_key_passed');
    const member = block('map $idempotency_key_passed $idempotency_key_member');
    const [, pattern = '', text = ''] = /"~([^"]+)" +'([^']+)';/.exec(member) ?? [];
    expect(member).toMatch(/default +"";/);
    const [document = ''] = directive('return').map((line) => line.slice(line.indexOf('{'), -1));
    for (const key of ['5a1dd315356f40fd923cda9a840cd216', 'INC-1042-kill', 'a"b', 'a\\b', 'a b']) {
      const named = new RegExp(pattern).test(key) ? text.replace('$idempotency_key_passed', key) : '';
      const told = JSON.parse(document.replace('$idempotency_key_member', named)) as Record<string, unknown>;
      expect(told.idempotency_key).toBe(/^[\w-]+$/.test(key) ? key : undefined);
    }
  });

  it('answers for replicas that do not in a problem document', () => {
    const [status, document] = /^(\d+) '(.*)'$/.exec(directive('return')[0] ?? '')?.slice(1) ?? [];
    const plain = (document ?? '').replace('$idempotency_key_member', '');
    expect(JSON.parse(plain)).toMatchObject({
      status: Number(status),
      code: 'log-unavailable',
      outcome: 'unknown',
    });
  });
});

describe('the example of TLS in docs/security.md', () => {
  const example = (language: string): string[] =>
    [...file('docs/security.md').matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(
      ([, text]) => text ?? '',
    );

  it('fits the files that it changes', () => {
    expect(directive('listen')).toEqual(['8003']);
    const lines = example('nginx').join('');
    expect(directive('listen', lines)).toEqual(['127.0.0.1:8003', '8443 ssl']);
    expect(directive('ssl_certificate', lines).concat(directive('ssl_certificate_key', lines))).toEqual([
      '/etc/nginx/tls/fullchain.pem',
      '/etc/nginx/tls/privkey.pem',
    ]);
    const [front, replica] = example('yaml').map((text) => parse(text) as Service);
    expect(front?.volumes).toEqual(expect.arrayContaining([...(compose().services.nginx?.volumes ?? [])]));
    expect(front?.volumes).toContain('./tls:/etc/nginx/tls:ro');
    expect(front?.ports).toEqual(['8443:8443']);
    expect(replica?.volumes).toEqual(expect.arrayContaining([...(replicas[0]?.[1].volumes ?? [])]));
    const settings = readSettings({ ...imageEnv, ...replica?.environment });
    expect(settings).toMatchObject({
      access: 'required',
      accessFile: '/run/access/access.json',
      trustProxy: ['uniquelocal'],
    });
  });
});
