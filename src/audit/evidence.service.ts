import { Injectable } from '@nestjs/common';

import { pageOf } from '../http/page.js';
import { Problem } from '../http/problem.js';
import type { CheckpointBody, CheckpointsBody, ConsistencyBody, KeyBody, ProofBody } from './audit.dto.js';
import { AuditStore, type KeptCheckpoint } from './audit.store.js';
import { AuditWatch } from './audit-watch.js';
import { Contradiction } from './contradiction.js';
import { consistencyRanges, inclusionRanges, isConsistent, isIncluded, type Range } from './core/proof.js';
import type { LogTree } from './log-tree.js';
import { Notary } from './notary.js';

/**
 * What an auditor takes away. Every call is refused with `no-signing-key` where nothing is signed. Once the log is known
 * not to be what it was, what speaks of the log as it is (the newest checkpoint, proofs) is refused with `past-changed`,
 * also of events that nobody touched; what was signed before, and the key, is evidence now and always given.
 */
@Injectable()
export class Evidence {
  constructor(
    private readonly store: AuditStore,
    private readonly watch: AuditWatch,
    private readonly notary: Notary,
  ) {}

  /** @throws Problem `no-checkpoint-yet` */
  async checkpoint(fresh: boolean): Promise<CheckpointBody> {
    return bodyOf(fresh ? await this.fresh() : await this.newest());
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

  /** @throws Problem `not-found` when the log has no such event */
  async proof(position: number): Promise<ProofBody> {
    const { log_id, size, root, note } = await this.covering(position);
    if (position > size) throw new Problem('not-found', `The log has no event at position ${position}.`);
    return this.reading(log_id, async (tree) => {
      const [leaf = Buffer.alloc(0)] = await tree.leaves([position - 1, position]);
      const path = await rootsOf(tree, inclusionRanges(position - 1, size));
      if (!isIncluded(leaf, position - 1, { size, root: Buffer.from(root, 'hex') }, path))
        throw new Contradiction(`Event ${position} is not in the log that was signed at ${size} events.`);
      return { log_id, position, leaf: hex(leaf), size, root, path: path.map(hex), checkpoint: note };
    });
  }

  /** @throws Problem 400 unless both are sizes that the log has had, in order */
  async consistency(from: number, to: number | undefined): Promise<ConsistencyBody> {
    const { log_id, size } = await this.covering(to ?? from);
    const end = to ?? size;
    if (end > size)
      throw Problem.invalid(to === undefined ? 'from' : 'to', `is more than the ${size} events of the log`);
    if (from > end) throw Problem.invalid('from', 'must not be more than to');
    return this.reading(log_id, async (tree) => {
      const [first, second] = [await tree.root([0, from]), await tree.root([0, end])];
      const proof = await rootsOf(tree, consistencyRanges(from, end));
      if (!isConsistent({ size: from, root: first }, { size: end, root: second }, proof))
        throw new Contradiction(`The events up to ${end} have changed while they were read.`);
      const trees = { from: { size: from, root: hex(first) }, to: { size: end, root: hex(second) } };
      return { log_id, ...trees, proof: proof.map(hex) };
    });
  }

  /** The newest checkpoint that was checked here, or a fresh one where that does not cover the position. */
  private async covering(position: number): Promise<KeptCheckpoint> {
    this.watch.requireKey();
    const { log_id, position: end } = await this.store.head();
    const known = this.notary.known(log_id);
    // What is not in the log yet no fresh one would cover: none is taken for it.
    const found = known && known.size >= Math.min(position, end) ? known : await this.fresh();
    if (found === null) throw new Problem('no-checkpoint-yet', NONE_YET);
    return found;
  }

  private async newest(): Promise<KeptCheckpoint | null> {
    this.watch.requireKey();
    const { newest } = await this.store.head();
    if (this.notary.contradiction) throw pastChanged(this.notary.contradiction);
    return newest;
  }

  private fresh(): Promise<KeptCheckpoint | null> {
    this.watch.requireKey();
    return refusing(() => this.watch.fresh());
  }

  private reading<T>(logId: string, work: (tree: LogTree) => Promise<T>): Promise<T> {
    return refusing(() => this.notary.reading(logId, work));
  }
}

const NONE_YET = 'No checkpoint of this log has been signed yet.';

const hex = (hash: Buffer): string => hash.toString('hex');

async function rootsOf(tree: LogTree, ranges: readonly Range[]): Promise<Buffer[]> {
  const roots: Buffer[] = [];
  for (const range of ranges) roots.push(await tree.root(range));
  return roots;
}

async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Contradiction) throw pastChanged(error);
    throw error;
  }
}

const pastChanged = ({ message }: Contradiction): Problem => new Problem('past-changed', message);

function bodyOf(kept: KeptCheckpoint | null): CheckpointBody {
  if (kept === null) throw new Problem('no-checkpoint-yet', NONE_YET);
  const { log_id, size, root, key, note, taken_at } = kept;
  return { log_id, size, root, key, note, taken_at };
}
