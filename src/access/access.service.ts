import { Injectable } from '@nestjs/common';

import { fleetsAsked, type Identity, scopeOf } from '../http/identity.js';
import { pageOf } from '../http/page.js';
import { Problem } from '../http/problem.js';
import type { AccessAtBody, AccessChangesBody } from './access.dto.js';
import { AccessStore } from './access.store.js';
import type { RefusalsBody, RefusalsQuery } from './refusals.dto.js';
import { operationsOf } from './roles.js';

/** Who could, and who tried, as auditors read it. */
@Injectable()
export class AccessService {
  constructor(private readonly store: AccessStore) {}

  async changes(cursor: string | undefined, limit: number): Promise<AccessChangesBody> {
    const found = await this.store.changes(cursor, limit + 1);
    const { page, next_cursor } = pageOf(found, limit, ({ id }) => id);
    return { changes: page as AccessChangesBody['changes'], next_cursor };
  }

  /** @throws Problem 404 when nothing is on record of that time */
  async at(time: string): Promise<AccessAtBody> {
    const found = await this.store.at(time);
    if (found === undefined) throw new Problem('not-found', `Nothing is on record of ${time}.`);
    const tokens = found.tokens
      .filter(({ expires_at }) => expires_at === null || Date.parse(expires_at) > Date.parse(time))
      .map((token) => ({ ...token, fleets: [...token.fleets], operations: operationsOf(token.role) }));
    return { ...found, tokens };
  }

  async refusals(
    identity: Identity,
    { cursor, limit = '100', fleet, ...filter }: RefusalsQuery,
  ): Promise<RefusalsBody> {
    const size = Number(limit);
    const fleets = fleetsAsked(identity, fleet);
    const found = await this.store.refusals({ ...filter, fleets }, cursor, size + 1);
    const { page, next_cursor } = pageOf(found, size, ({ id }) => id);
    return { refusals: page, ...scopeOf(identity, fleet), next_cursor };
  }
}
