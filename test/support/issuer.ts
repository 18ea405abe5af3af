import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
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
  private server: Server | undefined;
  private port = 0;

  static async start(): Promise<TestIssuer> {
    const issuer = new TestIssuer();
    await issuer.addKey('one');
    await issuer.listen();
    return issuer;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
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

  /** On the same port as before. */
  async listen(): Promise<void> {
    this.server = createServer((request, response) => {
      const about = { issuer: this.url, jwks_uri: `${this.url}/keys` };
      const keys = { keys: this.keys.map(({ publicJwk }) => publicJwk) };
      if (request.url === '/keys') this.asked++;
      const answer =
        request.url === '/keys'
          ? keys
          : request.url === '/.well-known/openid-configuration'
            ? about
            : undefined;
      response.writeHead(answer === undefined ? 404 : 200, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(answer ?? {}));
    }).listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.server?.closeAllConnections();
    await new Promise((resolve) => {
      if (this.server === undefined) resolve(undefined);
      else this.server.close(resolve);
    });
    this.server = undefined;
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
