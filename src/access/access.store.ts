import { Injectable } from '@nestjs/common';

import { Database } from '../database/database.js';
import { ask } from '../event-store/unavailable.js';
import type { Kept } from './refusal-bounds.js';
import type { Role } from './roles.js';

/** A token on record. */
export interface RecordedToken {
  readonly name: string;
  readonly role: Role;
  readonly fleets: readonly string[];
  readonly expires_at: string | null;
  /** The first digits of the token's SHA-256: whether its secret changed, and no more. */
  readonly secret: string;
}

/** Whose tokens are taken beside those of the file. */
export interface RecordedOidc {
  readonly issuer: string;
  readonly audience: string;
  readonly roles_claim: string;
  readonly fleets_claim: string | null;
}

/** All that decides who may do what. */
export interface RecordedAccess {
  readonly access: 'open' | 'required';
  readonly tokens: readonly RecordedToken[];
  /** Null, or in what is recorded absent: nobody's. */
  readonly oidc?: RecordedOidc | null;
}

export interface AccessChange {
  readonly id: string;
  readonly changed_at: string;
  readonly replica: string;
  readonly file_sha256: string | null;
  readonly access: 'open' | 'required';
  readonly oidc: RecordedOidc | null;
  readonly came: readonly RecordedToken[];
  readonly went: readonly RecordedToken[];
}

export interface AccessAt extends RecordedAccess {
  readonly oidc: RecordedOidc | null;
  readonly since: string;
  /** Null: still so. */
  readonly until: string | null;
}

/** A refusal, before it is on record. */
export interface Refused {
  /** What is written twice under one id stands there once. */
  readonly refusal: string;
  /** `performance.now()` when it happened. */
  readonly at: number;
  readonly actor: string;
  readonly auth: string;
  readonly remote_address: string | null;
  /** The method, and the address as the table of routes names it. */
  readonly call: string;
  readonly fleet: string | null;
  readonly status: number;
  readonly code: string;
  readonly request_id: string | null;
}

export interface RecordedRefusal extends Omit<Refused, 'refusal' | 'at'> {
  readonly id: string;
  readonly refused_at: string;
  readonly replica: string;
  readonly left_out: number;
}

export interface RefusalFilter {
  /** Null is all. */
  readonly fleets: readonly string[] | null;
  readonly actor?: string;
  readonly remote_address?: string;
  readonly code?: string;
  readonly since?: string;
  readonly until?: string;
}

/** The SQL of the room's tables. Every call that fails for the database's sake throws LogUnavailable. */
@Injectable()
export class AccessStore {
  constructor(private readonly database: Database) {}

  /**
   * Records what a replica goes by, unless it stands there already.
   * @param since `performance.now()` when it began to
   * @returns whether it was new
   */
  async record(
    since: number,
    replica: string,
    fileSha256: string | null,
    access: RecordedAccess,
  ): Promise<boolean> {
    const [row] = await this.aged<{ is_new: boolean }>(RECORD, since, [
      replica,
      fileSha256,
      JSON.stringify(access),
    ]);
    return row?.is_new ?? false;
  }

  /** Changes, newest first, before one of them. */
  changes(before: string | undefined, limit: number): Promise<AccessChange[]> {
    return this.rows(CHANGES, [before ?? null, limit]);
  }

  /** What was in force at a time; undefined when nothing is on record of it. */
  async at(time: string): Promise<AccessAt | undefined> {
    const [row] = await this.rows<AccessAt>(AT, [time]);
    return row;
  }

  async recordRefusals(replica: string, kept: readonly Kept<Refused>[]): Promise<void> {
    const now = performance.now();
    const rows = kept.map(({ refusal: { at, ...refusal }, leftOut }) => {
      return { ...refusal, age: (now - at) / 1000, left_out: leftOut };
    });
    await this.rows('select record_refusals($1, $2)', [replica, JSON.stringify(rows)]);
  }

  /** @param at `performance.now()` when a token said so */
  async recordName(actor: string, name: string, at: number): Promise<void> {
    await this.aged('select record_caller_name($1, $2, $3)', at, [actor, name]);
  }

  /** Refusals, newest first, before one of them. */
  refusals(filter: RefusalFilter, before: string | undefined, limit: number): Promise<RecordedRefusal[]> {
    const { fleets, actor, remote_address, code, since, until } = filter;
    return this.rows(REFUSALS, [before, limit, fleets, actor, remote_address, code, since, until]);
  }

  /** A question whose first parameter is how many seconds ago a time was. */
  private aged<T>(sql: string, time: number, parameters: unknown[]): Promise<T[]> {
    return ask(async () => {
      const { dataSource } = this.database;
      const connection = dataSource.createQueryRunner();
      try {
        // How long ago it was is measured when nothing but the question itself is still to be waited for.
        await connection.connect();
        const ageSeconds = (performance.now() - time) / 1000;
        return await dataSource.query<T[]>(sql, [ageSeconds, ...parameters], connection);
      } finally {
        await connection.release();
      }
    }, UNREADABLE);
  }

  private rows<T>(sql: string, parameters: unknown[]): Promise<T[]> {
    return ask(() => this.database.dataSource.query<T[]>(sql, parameters), UNREADABLE);
  }
}

const UNREADABLE = 'The record of access cannot be read now.';

const RECORD = 'select record_access($1, $2, $3, $4) as is_new';

const CHANGES = `
  select id::text, rfc3339(changed_at) as changed_at, replica, file_sha256, access ->> 'access' as access,
    access -> 'oidc' as oidc, came, went
  from access_changes where $1::bigint is null or id < $1 order by id desc limit $2
`;

const AT = `
  select a.access ->> 'access' as access, a.access -> 'tokens' as tokens, a.access -> 'oidc' as oidc, rfc3339(a.changed_at) as since,
    rfc3339((select min(n.changed_at) from access_changes n where n.id > a.id)) as until
  from access_changes a where a.changed_at <= $1::timestamptz order by a.id desc limit 1
`;

const REFUSALS = `
  select id::text, rfc3339(refused_at) as refused_at, replica, actor, auth, remote_address, call, fleet, status, code,
    request_id, left_out
  from refusals
  where ($1::bigint is null or (refused_at, id) < (select b.refused_at, b.id from refusals b where b.id = $1))
    and ($3::text[] is null or fleet = any ($3))
    and ($4::text is null or actor = $4)
    and ($5::text is null or remote_address = $5)
    and ($6::text is null or code = $6)
    and ($7::timestamptz is null or refused_at >= $7)
    and ($8::timestamptz is null or refused_at < $8)
  order by refusals.refused_at desc, id desc limit $2
`;
