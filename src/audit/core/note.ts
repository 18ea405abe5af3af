import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';

import { sha256 } from './leaf.js';

/** Why a note or a key is not good: not of the form, signed by nobody known, or not as it was signed. */
export type NoteFault = 'malformed' | 'unknown-key' | 'bad-signature';

export class NoteError extends Error {
  override readonly name = 'NoteError';

  constructor(
    readonly fault: NoteFault,
    message: string,
  ) {
    super(message);
  }
}

/** Who signed: https://c2sp.org/signed-note, Ed25519. */
export interface VerifierKey {
  /** Neither spaces nor `+`. */
  readonly name: string;
  /** 4 bytes: SHA-256(name ‖ "\n" ‖ 0x01 ‖ public key). */
  readonly id: Buffer;
  readonly publicKey: KeyObject;
  /** `<name>+<id>+<base64 of 0x01 ‖ public key>`. */
  readonly text: string;
}

export interface SignerKey {
  readonly privateKey: KeyObject;
  readonly verifier: VerifierKey;
  /** `PRIVATE+KEY+<name>+<id>+<base64 of 0x01 ‖ seed>`. */
  readonly text: string;
}

const ED25519 = 0x01;
// The wrappings of RFC 8410 around a key of 32 bytes.
const PRIVATE_DER = Buffer.from('302e020100300506032b657004220420', 'hex');
const PUBLIC_DER = Buffer.from('302a300506032b6570032100', 'hex');

export function generateSignerKey(name: string): SignerKey {
  const der = generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' });
  return signerOf(name, der.subarray(PRIVATE_DER.length));
}

/** @throws NoteError `malformed` */
export function readSignerKey(text: string): SignerKey {
  const prefix = 'PRIVATE+KEY+';
  if (!text.startsWith(prefix)) throw new NoteError('malformed', 'A signer key begins with PRIVATE+KEY+.');
  const { name, id, key } = partsOf(text.slice(prefix.length));
  const signer = signerOf(name, key);
  if (!signer.verifier.id.equals(id))
    throw new NoteError('malformed', 'The signer key does not have the id that it says.');
  return signer;
}

/** @throws NoteError `malformed` */
export function readVerifierKey(text: string): VerifierKey {
  const { name, id, key } = partsOf(text);
  const verifier = verifierOf(name, key);
  if (!verifier.id.equals(id))
    throw new NoteError('malformed', 'The verifier key does not have the id that it says.');
  return verifier;
}

/** The key of a PKCS #8 file in PEM. @throws NoteError `malformed` */
export function readSignerPem(name: string, pem: string): SignerKey {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === 'ed25519')
      return signerOf(name, key.export({ format: 'der', type: 'pkcs8' }).subarray(PRIVATE_DER.length));
  } catch {
    // What OpenSSL says of it helps nobody, and might quote it.
  }
  throw new NoteError('malformed', 'This is not an Ed25519 key in PEM.');
}

function partsOf(text: string): { name: string; id: Buffer; key: Buffer } {
  const [, name = '', id = '', encoded = ''] =
    /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/u.exec(text) ?? [];
  const bytes = fromBase64(encoded);
  if (bytes?.length !== 33 || bytes[0] !== ED25519)
    throw new NoteError('malformed', 'This is not an Ed25519 key of a signed note.');
  return { name, id: Buffer.from(id, 'hex'), key: bytes.subarray(1) };
}

function signerOf(name: string, seed: Buffer): SignerKey {
  const privateKey = createPrivateKey({
    key: Buffer.concat([PRIVATE_DER, seed]),
    format: 'der',
    type: 'pkcs8',
  });
  const der = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const verifier = verifierOf(name, der.subarray(PUBLIC_DER.length));
  return { privateKey, verifier, text: `PRIVATE+KEY+${keyText(name, verifier.id, seed)}` };
}

function verifierOf(name: string, key: Buffer): VerifierKey {
  const id = sha256(Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(ED25519), key])).subarray(0, 4);
  const publicKey = createPublicKey({ key: Buffer.concat([PUBLIC_DER, key]), format: 'der', type: 'spki' });
  return { name, id, publicKey, text: keyText(name, id, key) };
}

function keyText(name: string, id: Buffer, key: Buffer): string {
  return `${name}+${id.toString('hex')}+${Buffer.concat([Buffer.of(ED25519), key]).toString('base64')}`;
}

/** @param text one or more lines, each with its line feed @returns the text, an empty line, a signature line */
export function signNote(text: string, { privateKey, verifier }: SignerKey): string {
  const signature = Buffer.concat([verifier.id, sign(null, Buffer.from(text), privateKey)]);
  return `${text}\n— ${verifier.name} ${signature.toString('base64')}\n`;
}

/**
 * The text of a note that one of the keys has signed. Signatures of others are not looked at.
 * @throws NoteError
 */
export function openNote(note: string, keys: readonly VerifierKey[]): string {
  const end = note.lastIndexOf('\n\n') + 1;
  const text = note.slice(0, end);
  const signatures = note.slice(end + 1);
  // eslint-disable-next-line no-control-regex -- the format forbids them
  if (end === 0 || /[\0-\x09\x0b-\x1f\x7f\ufffd]/.test(note) || !signatures.endsWith('\n'))
    throw new NoteError('malformed', 'This is not a signed note: lines, an empty line, signature lines.');
  let known = false;
  for (const line of signatures.slice(0, -1).split('\n')) {
    const [, name, encoded = ''] = /^— ([^\s+]+) ([A-Za-z0-9+/]+=*)$/u.exec(line) ?? [];
    const bytes = fromBase64(encoded);
    if (bytes === undefined || bytes.length < 5)
      throw new NoteError('malformed', 'A signature line of the note is not of the form.');
    const key = keys.find((each) => each.name === name && each.id.equals(bytes.subarray(0, 4)));
    if (key === undefined) continue;
    if (!verify(null, Buffer.from(text), key.publicKey, bytes.subarray(4)))
      throw new NoteError('bad-signature', `The signature of ${key.name} does not fit the note.`);
    known = true;
  }
  if (!known)
    throw new NoteError(
      'unknown-key',
      `The note is not signed with ${keys.map(({ name, id }) => `${name}+${id.toString('hex')}`).join(' or ')}.`,
    );
  return text;
}

/** Standard base64, in its one form. @returns undefined when it is not */
export function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}
