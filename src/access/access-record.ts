import { hostname } from 'node:os';

import { type BeforeApplicationShutdown, Inject, Injectable, Logger } from '@nestjs/common';

import { type OidcSettings, SETTINGS, type Settings } from '../config/settings.js';
import type { AccessEntries } from './access-entries.js';
import { AccessFile } from './access-file.js';
import { AccessStore, type RecordedAccess, type RecordedOidc } from './access.store.js';
import { LateWrites } from './late-writes.js';

const SECRET_DIGITS = 8;

/** What came into force here and is still to be recorded. */
interface Change {
  readonly entries: AccessEntries | undefined;
  /** `performance.now()` when it did. */
  readonly since: number;
}

/** Puts every change of who may do what on record, as soon as the database can be reached. */
@Injectable()
export class AccessRecord implements BeforeApplicationShutdown {
  private readonly logger = new Logger('Access');
  private readonly replica: string;
  private readonly oidc: OidcSettings | undefined;
  private readonly waiting: Change[] = [];
  private readonly writes = new LateWrites(() => this.waiting[0] && this.write(this.waiting[0]));
  private begun = false;
  /** Called after every try. */
  private tried: () => void = () => undefined;

  constructor(
    @Inject(SETTINGS) { port, oidc }: Settings,
    private readonly file: AccessFile,
    private readonly store: AccessStore,
  ) {
    this.replica = `${hostname()}:${port}`;
    this.oidc = oidc;
  }

  /** Once the database is open. Waits until what is in force is on record, or could not be put there at once. */
  async begin(): Promise<void> {
    if (this.begun) return;
    this.begun = true;
    this.file.onChange((entries) => {
      this.note(entries);
    });
    const first = new Promise<void>((tried) => (this.tried = tried));
    this.note(this.file.entries);
    await first;
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.writes.end();
  }

  private note(entries: AccessEntries | undefined): void {
    this.waiting.push({ entries, since: performance.now() });
    this.writes.begin();
  }

  private async write({ entries, since }: Change): Promise<void> {
    try {
      const access = recordedAccess(entries, this.oidc);
      const isNew = await this.store.record(since, this.replica, entries?.sha256 ?? null, access);
      if (isNew) this.logger.log('Who may do what has changed; the change is on record.');
      this.waiting.shift();
    } finally {
      this.tried();
    }
  }
}

/** In one order, so that the same tokens in another one are no change. */
function recordedAccess(entries: AccessEntries | undefined, oidc: OidcSettings | undefined): RecordedAccess {
  if (entries === undefined && oidc === undefined) return { access: 'open', tokens: [] };
  const tokens = (entries?.tokens ?? []).map(({ name, role, fleets, expires_at, sha256 }) => ({
    name,
    role,
    fleets: [...fleets].sort(),
    expires_at: expires_at ?? null,
    secret: sha256.slice(0, SECRET_DIGITS),
  }));
  const order = ({ name, secret }: { name: string; secret: string }): string => `${name} ${secret}`;
  const inOrder = tokens.sort((one, two) => (order(one) < order(two) ? -1 : 1));
  return { access: 'required', tokens: inOrder, ...(oidc && { oidc: recordedOidc(oidc) }) };
}

function recordedOidc({ issuer, audience, rolesClaim, fleetsClaim }: OidcSettings): RecordedOidc {
  return { issuer, audience, roles_claim: rolesClaim, fleets_claim: fleetsClaim ?? null };
}
