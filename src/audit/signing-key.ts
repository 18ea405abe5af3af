import { randomUUID } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Settings } from '../config/settings.js';
import { codeOf } from '../database/embedded-processes.js';
import { KEY_NAME } from './core/checkpoint.js';
import { generateSignerKey, readSignerKey, readSignerPem, type SignerKey } from './core/note.js';

/** In the data folder of the embedded PostgreSQL. */
const KEY_FILE = 'audit-signing-key';

/**
 * The key that the operator has set. PEM, as `openssl genpkey -algorithm ed25519` writes it, or a signer key of a
 * signed note.
 * @throws Error when the file has none
 */
export async function configuredKey({ auditSigningKeyFile: file }: Settings): Promise<SignerKey | undefined> {
  if (file === undefined) return undefined;
  try {
    return parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw unusable(`AUDIT_SIGNING_KEY_FILE ${file}`, error);
  }
}

/**
 * The key beside the embedded database, made at the first start: one for all replicas of the data folder.
 * @throws Error when it cannot be read or made
 */
export async function embeddedKey({ dataDir }: Settings): Promise<SignerKey> {
  const file = join(dataDir, KEY_FILE);
  try {
    return await keyOf(file);
  } catch (error) {
    throw unusable(`The signing key ${file}`, error);
  }
}

function unusable(what: string, error: unknown): Error {
  const why = codeOf(error) ?? 'it holds no Ed25519 key';
  return new Error(`${what} cannot be used: ${why}.`, { cause: error });
}

/** The key of a file, which is made when it is not there: one for all who ask. */
export async function keyOf(file: string): Promise<SignerKey> {
  const unfinished = `${file}.${randomUUID()}`;
  for (;;) {
    try {
      return parse(await readFile(file, 'utf8'));
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
    try {
      await writeFile(unfinished, `${generateSignerKey(KEY_NAME).text}\n`, { mode: 0o600, flush: true });
      // A link appears with its content: of two replicas the second finds the key of the first.
      await link(unfinished, file);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    } finally {
      await rm(unfinished, { force: true });
    }
  }
}

function parse(text: string): SignerKey {
  return text.startsWith('PRIVATE+KEY+') ? readSignerKey(text.trim()) : readSignerPem(KEY_NAME, text);
}
