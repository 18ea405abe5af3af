import { Injectable } from '@nestjs/common';

import { pageOf } from '../http/page.js';
import { Problem } from '../http/problem.js';
import type { CheckpointBody, CheckpointsBody, KeyBody } from './audit.dto.js';
import { AuditStore, type KeptCheckpoint } from './audit.store.js';
import { AuditWatch } from './audit-watch.js';
import { Contradiction } from './contradiction.js';

/** What an auditor takes away. Every call is refused with `no-signing-key` where nothing is signed. */
@Injectable()
export class Evidence {
  constructor(
    private readonly store: AuditStore,
    private readonly watch: AuditWatch,
  ) {}

  /** @throws Problem `no-checkpoint-yet`, `past-changed`, LogUnavailable */
  async checkpoint(fresh: boolean): Promise<CheckpointBody> {
    this.watch.requireKey();
    return bodyOf(fresh ? await this.fresh() : (await this.store.head()).newest);
  }

  async checkpoints(before: string | undefined, limit: number): Promise<CheckpointsBody> {
    this.watch.requireKey();
    const found = await this.store.page(before === undefined ? null : Number(before), limit + 1);
    const { page, next_cursor } = pageOf(found, limit, ({ id }) => String(id));
    return { checkpoints: page.map(bodyOf), next_cursor };
  }

  async key(): Promise<KeyBody> {
    const { text: key } = this.watch.requireKey().verifier;
    return { key, earlier: (await this.store.keys()).filter((each) => each !== key) };
  }

  private async fresh(): Promise<KeptCheckpoint | null> {
    try {
      return await this.watch.fresh();
    } catch (error) {
      if (error instanceof Contradiction) throw new Problem('past-changed', error.message);
      throw error;
    }
  }
}

function bodyOf(kept: KeptCheckpoint | null): CheckpointBody {
  if (kept === null) throw new Problem('no-checkpoint-yet', 'No checkpoint of this log has been signed yet.');
  const { log_id, size, root, key, note, taken_at } = kept;
  return { log_id, size, root, key, note, taken_at };
}
