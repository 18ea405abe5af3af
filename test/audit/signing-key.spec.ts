import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, expect, it } from '@jest/globals';

import { AuditStore } from '../../src/audit/audit.store.js';
import { AuditWatch } from '../../src/audit/audit-watch.js';
import { CheckpointFiles } from '../../src/audit/checkpoint-files.js';
import { KEY_NAME, openCheckpoint, signCheckpoint } from '../../src/audit/core/checkpoint.js';
import { sha256 } from '../../src/audit/core/leaf.js';
import { generateSignerKey } from '../../src/audit/core/note.js';
import { Notary } from '../../src/audit/notary.js';
import { configuredKey, embeddedKey } from '../../src/audit/signing-key.js';
import { readSettings } from '../../src/config/settings.js';
import { LogUnavailable } from '../../src/lora/domain/errors.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'key-'));
});
afterEach(() => rm(folder, { recursive: true }));

const configured = (file: string) => configuredKey(readSettings({ AUDIT_SIGNING_KEY_FILE: file }));
const embedded = () => embeddedKey(readSettings({ DATA_DIR: folder }));

it('is none where none is set', async () => {
  expect(await configured('')).toBeUndefined();
});

it('is read from a signer key, and from PEM as OpenSSL writes it', async () => {
  const file = join(folder, 'key');
  const key = generateSignerKey('example.com/log');
  await writeFile(file, `${key.text}\n`);
  expect((await configured(file))?.verifier.text).toBe(key.verifier.text);

  const { privateKey } = generateKeyPairSync('ed25519');
  await writeFile(file, privateKey.export({ format: 'pem', type: 'pkcs8' }));
  const read = await configured(file);
  expect(read?.verifier.name).toBe(KEY_NAME);
  const checkpoint = {
    logId: '6a0c6b1e-55f0-4f0e-9a51-0c3b7d7f2a10',
    size: 1,
    root: sha256('x'),
    continues: null,
  };
  if (read)
    expect(openCheckpoint(signCheckpoint(checkpoint, read), [read.verifier])).toStrictEqual(checkpoint);
});

it('that cannot be used stops with a line that says which, and holds none of it', async () => {
  const file = join(folder, 'key');
  await expect(configured(file)).rejects.toThrow(`AUDIT_SIGNING_KEY_FILE ${file} cannot be used: ENOENT.`);
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
  const key = generateSignerKey(KEY_NAME).text;
  for (const text of ['', 'secret', rsa.export({ format: 'pem', type: 'pkcs8' }), key.slice(0, -2)]) {
    await writeFile(file, text);
    await expect(configured(file)).rejects.toThrow(
      `AUDIT_SIGNING_KEY_FILE ${file} cannot be used: it holds no Ed25519 key.`,
    );
  }
});

it('of the embedded database is made once for all replicas of its folder, and nobody else reads it', async () => {
  const keys = await Promise.all(Array.from({ length: 8 }, embedded));
  expect(new Set(keys.map(({ text }) => text)).size).toBe(1);
  expect((await embedded()).text).toBe(keys[0]?.text);
  const [name = '', ...more] = await readdir(folder);
  expect(more).toStrictEqual([]);
  expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
});

it('of the embedded database that cannot be used is an alarm until it can, never a log that nobody signs', async () => {
  const settings = readSettings({ DATA_DIR: folder });
  const store = new AuditStore({ serviceUrl: 'postgres://127.0.0.1:1/none' });
  const watch = new AuditWatch(settings, new Notary(store, new CheckpointFiles(settings)));
  await embedded();
  const [name = ''] = await readdir(folder);
  await writeFile(join(folder, name), '');
  await expect(watch.begin()).rejects.toThrow(
    `The signing key ${join(folder, name)} cannot be used: it holds no Ed25519 key.`,
  );
  expect(watch.state).toBe('failing');
  expect(() => watch.requireKey()).toThrow(LogUnavailable);
  await rm(join(folder, name));
  await watch.begin();
  expect(watch.requireKey()).toBeDefined();
  await watch.beforeApplicationShutdown();
  await store.beforeApplicationShutdown();
});

it('is made by npm run audit:key, once, which says the key for auditors', async () => {
  const file = join(folder, 'made');
  const maintain = fileURLToPath(new URL('../../dist/src/maintain.main.js', import.meta.url));
  const make = (env: Record<string, string>) =>
    spawnSync(process.execPath, [maintain, 'key'], {
      env: { PATH: process.env.PATH, ...env },
      encoding: 'utf8',
    });
  const { status, stdout } = make({ AUDIT_SIGNING_KEY_FILE: file });
  const key = await configured(file);
  expect([status, stdout]).toStrictEqual([
    0,
    `${file} signs checkpoints. What it signs is checked by ${String(key?.verifier.text)}\n`,
  ]);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(make({ AUDIT_SIGNING_KEY_FILE: file }).stdout).toBe(stdout);
  expect(make({})).toMatchObject({
    status: 2,
    stderr: 'Cannot key: AUDIT_SIGNING_KEY_FILE does not say where it shall be.\n',
  });
});
