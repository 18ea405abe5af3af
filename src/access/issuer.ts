import type { JSONWebKeySet, JWK } from 'jose';

import { isSafeAddress } from '../config/settings.js';

/** How long the issuer may take for an answer, and how large one may be. */
const PATIENCE_MS = 5_000;
const ANSWER_MAX = 1024 * 1024;

/** The issuer does not answer, or not as it should. Says why in a few words. */
export class IssuerError extends Error {
  override readonly name = 'IssuerError';
}

/**
 * The public keys with which an issuer signs now, found by its discovery document.
 * @throws IssuerError
 */
export async function fetchKeys(issuer: string): Promise<JSONWebKeySet> {
  const about = await fetchJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
  if (about.issuer !== issuer) throw new IssuerError('its discovery document is of another issuer');
  const { jwks_uri: address } = about;
  if (typeof address !== 'string' || !isSafeAddress(address)) {
    throw new IssuerError('its discovery document names no address for keys that can be trusted');
  }
  const { keys } = await fetchJson(address);
  if (!Array.isArray(keys) || !keys.every(isKey)) throw new IssuerError('its keys are no set of keys');
  return { keys: keys.filter(({ use }) => use === undefined || use === 'sig') };
}

function isKey(value: unknown): value is JWK {
  return typeof value === 'object' && value !== null && 'kty' in value && typeof value.kty === 'string';
}

async function fetchJson(address: string): Promise<Readonly<Record<string, unknown>>> {
  let text: string;
  try {
    text = await fetchText(address);
  } catch (error) {
    throw error instanceof IssuerError ? error : new IssuerError('it does not answer');
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new IssuerError('its answer is no JSON object');
}

async function fetchText(address: string): Promise<string> {
  const { status, body } = await fetch(address, {
    redirect: 'error',
    headers: { accept: 'application/json' },
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (status !== 200 || body === null) throw new IssuerError(`it answers ${status}`);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > ANSWER_MAX) throw new IssuerError('its answer is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
