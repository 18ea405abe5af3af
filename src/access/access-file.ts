import { createHash, timingSafeEqual } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { readFile } from 'node:fs/promises';

import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnModuleInit,
} from '@nestjs/common';

import { SETTINGS, type Settings } from '../config/settings.js';
import { type AccessEntries, AccessFileError, parseAccessFile, type TokenEntry } from './access-entries.js';
import { accessFileBroken, accessFileDigest } from './access-metrics.js';
import type { Principal, TokenVerifier } from './principal.js';

/** A change counts after two of these at the latest. The whole file is read: times of files are too coarse. */
const LOOK_MS = 500;
const BYTES_MAX = 1024 * 1024;
/** A look that takes longer will perhaps never end: a disk across a network that has gone. */
const PATIENCE_MS = 2000;

interface Known {
  readonly entry: TokenEntry;
  readonly digest: Buffer;
  /** Milliseconds since 1970; Infinity: never. */
  readonly expiresAt: number;
  readonly principal: Principal;
  readonly revoke: () => void;
}

/**
 * The tokens of the access file. The file is looked at twice a second, by its content and under its name, so that a
 * file put in its place counts as well as one that was written over.
 */
@Injectable()
export class AccessFile implements TokenVerifier, OnModuleInit, BeforeApplicationShutdown {
  private readonly logger = new Logger('Access');
  private readonly path: string | undefined;
  private readonly listeners = new Set<(entries: AccessEntries) => void>();
  private tokens = new Map<string, Known>();
  private inForce: AccessEntries | undefined;
  /** What was read last, and what it says. */
  private last: { readonly bytes: Buffer; readonly meaning: AccessEntries | AccessFileError } | undefined;
  /** What is wrong with the file as it is now. */
  private fault: string | undefined;
  /** The fault of the last look: half a file, caught while it was being written, is not worth a word. */
  private suspicion: string | undefined;
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> | undefined;
  /** `performance.now()` when the last look began. */
  private lookedAt = 0;

  constructor(@Inject(SETTINGS) { accessFile }: Settings) {
    this.path = accessFile;
  }

  /** Whether the file cannot be used as it is now, and the last good one stays in force. */
  get isBroken(): boolean {
    return this.fault !== undefined;
  }

  /** What is in force; undefined without an access file. */
  get entries(): AccessEntries | undefined {
    return this.inForce;
  }

  /** Calls back when other entries have come into force. */
  onChange(listener: (entries: AccessEntries) => void): void {
    this.listeners.add(listener);
  }

  /** @throws AccessFileError when the file cannot be used: the start stops */
  async onModuleInit(): Promise<void> {
    if (this.path === undefined) return;
    try {
      this.take(await this.read(this.path));
    } catch (error) {
      throw new AccessFileError(`ACCESS_FILE ${this.path} cannot be used: ${reasonOf(error)}.`);
    }
    this.timer = setInterval(() => {
      this.expire();
      if (this.looking && performance.now() - this.lookedAt > PATIENCE_MS) this.doubt('it does not answer');
      this.looking ??= this.look().finally(() => (this.looking = undefined));
    }, LOOK_MS).unref();
  }

  beforeApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  /** By the token's digest, which who guesses cannot steer, and then the whole digest in constant time. */
  verify(token: string): Principal | undefined {
    const digest = createHash('sha256').update(token).digest();
    const known = this.tokens.get(digest.toString('hex'));
    if (known === undefined || !timingSafeEqual(known.digest, digest)) return undefined;
    if (known.expiresAt <= Date.now()) return undefined;
    return known.principal.revoked.aborted ? this.renewed(known.entry) : known.principal;
  }

  /** A clock that went ahead ended what the token held open, and was put back: what it opens now must end in its turn. */
  private renewed(entry: TokenEntry): Principal {
    const known = knownOf(entry);
    this.tokens.set(entry.sha256, known);
    return known.principal;
  }

  private async look(): Promise<void> {
    if (this.path === undefined) return;
    this.lookedAt = performance.now();
    try {
      const entries = await this.read(this.path);
      if (this.fault !== undefined) this.logger.log('The access file can be used again.');
      this.fault = this.suspicion = undefined;
      accessFileBroken.set(0);
      if (entries.sha256 !== this.inForce?.sha256) this.take(entries);
    } catch (error) {
      this.doubt(reasonOf(error));
    }
  }

  private doubt(fault: string): void {
    if (this.suspicion === fault && this.fault !== fault) {
      this.fault = fault;
      this.logger.error(`ACCESS_FILE cannot be used, and the last good one stays in force: ${fault}.`);
      accessFileBroken.set(1);
    }
    this.suspicion = fault;
  }

  private async read(path: string): Promise<AccessEntries> {
    const bytes = await readFile(path);
    if (bytes.length > BYTES_MAX) throw new AccessFileError(`it is larger than ${BYTES_MAX} bytes`);
    // To parse a thousand tokens takes a fifth of a second, in which a kill would wait: not at every look.
    if (!this.last?.bytes.equals(bytes)) this.last = { bytes, meaning: meaningOf(bytes) };
    const { meaning } = this.last;
    if (meaning instanceof AccessFileError) throw meaning;
    return meaning;
  }

  private take(entries: AccessEntries): void {
    const before = this.tokens;
    this.tokens = new Map(
      entries.tokens.map((entry) => {
        const known = before.get(entry.sha256);
        // The same entry stays the same principal.
        const isSame = known !== undefined && JSON.stringify(known.entry) === JSON.stringify(entry);
        return [entry.sha256, isSame ? known : knownOf(entry)];
      }),
    );
    for (const [sha256, known] of before) if (this.tokens.get(sha256) !== known) known.revoke();
    this.inForce = entries;
    // 48 bits: what a metric can hold exactly.
    accessFileDigest.set(Number.parseInt(entries.sha256.slice(0, 12), 16));
    this.logger.log(`The access file has ${entries.tokens.length} tokens.`);
    for (const listener of this.listeners) listener(entries);
  }

  private expire(): void {
    const now = Date.now();
    for (const { expiresAt, revoke } of this.tokens.values()) if (expiresAt <= now) revoke();
  }
}

function knownOf(entry: TokenEntry): Known {
  const { name, role, fleets, sha256, expires_at } = entry;
  const revocation = new AbortController();
  // One for each stream that the token holds open.
  setMaxListeners(0, revocation.signal);
  return {
    entry,
    digest: Buffer.from(sha256, 'hex'),
    expiresAt: expires_at === undefined ? Infinity : Date.parse(expires_at),
    principal: {
      actor: `token:${name}`,
      auth: 'token',
      name,
      fleets: fleets[0] === '*' ? null : fleets,
      roles: [role],
      revoked: revocation.signal,
    },
    revoke: () => {
      revocation.abort();
    },
  };
}

function meaningOf(bytes: Buffer): AccessEntries | AccessFileError {
  try {
    return parseAccessFile(bytes);
  } catch (error) {
    if (error instanceof AccessFileError) return error;
    throw error;
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof AccessFileError) return error.message;
  return typeof error === 'object' && error !== null && 'code' in error
    ? String(error.code)
    : 'it cannot be read';
}
