import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';

interface KeyPair {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

export const AUDIENCE = 'lora-control-plane';

/** A small OpenID Connect issuer, for real, on the loopback address. */
export class TestIssuer {
  /** How often its keys were asked for. */
  asked = 0;
  private keys: KeyPair[] = [];
  private isAway = false;
  private readonly server = createServer((request, response) => {
    const about = { issuer: this.url, jwks_uri: `${this.url}/keys` };
    const keys = { keys: this.keys.map(({ publicJwk }) => publicJwk) };
    if (request.url === '/keys') this.asked++;
    const answers: Record<string, object> = { '/keys': keys, '/.well-known/openid-configuration': about };
    const answer = answers[request.url ?? ''];
    response.writeHead(answer === undefined ? 404 : 200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(answer ?? {}));
  }).on('connection', (socket) => {
    if (this.isAway) socket.destroy();
  });

  static async start(): Promise<TestIssuer> {
    const issuer = new TestIssuer();
    await issuer.addKey('one');
    await once(issuer.server.listen(0, '127.0.0.1'), 'listening');
    return issuer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get env(): Record<string, string> {
    return { OIDC_ISSUER: this.url, OIDC_AUDIENCE: AUDIENCE };
  }

  async addKey(kid: string): Promise<void> {
    this.keys.push(await newKey(kid));
  }

  removeKey(kid: string): void {
    this.keys = this.keys.filter((key) => key.kid !== kid);
  }

  /** Cuts every connection, and takes no other until it comes back. */
  leave(): void {
    this.isAway = true;
    this.server.closeAllConnections();
  }

  comeBack(): void {
    this.isAway = false;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** A token that is good, but for what is said otherwise; undefined takes a claim away. */
  sign(claims: JWTPayload = {}, key = this.keys.at(-1)): Promise<string> {
    if (key === undefined) throw new Error('The issuer has no key.');
    const now = Math.floor(Date.now() / 1000);
    const all = { iss: this.url, aud: AUDIENCE, sub: 'ana', iat: now, exp: now + 300, ...claims };
    const given = Object.fromEntries(Object.entries<unknown>(all).filter(([, value]) => value !== undefined));
    return new SignJWT(given).setProtectedHeader({ alg: 'ES256', kid: key.kid }).sign(key.privateKey);
  }
}

export async function newKey(kid: string): Promise<KeyPair> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  return { kid, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' } };
}
