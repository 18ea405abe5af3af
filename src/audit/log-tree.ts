import { type AuditStore, BLOCK, type BlockRead, LEVELS } from './audit.store.js';
import { Contradiction } from './contradiction.js';
import { Frontier } from './core/merkle.js';
import type { Range } from './core/proof.js';

/** Blocks that are hashed by one statement: a few tens of milliseconds. */
const BLOCKS_AT_ONCE = 4;

/** Called between two statements with the milliseconds that the one before took. */
export type Rest = (took: number) => Promise<void>;

/**
 * The Merkle tree of one log. Of each block of events it remembers the root that it had when it was read first; the
 * rest is read when it is needed. Whatever it reads is hashed from the rows, and must be what it was.
 */
export class LogTree {
  private readonly roots: Buffer[] = [];
  private seen = 0;

  constructor(
    readonly logId: string,
    private readonly rows: Pick<AuditStore, 'blocks' | 'leaves'>,
  ) {}

  /** The most events that it has seen. */
  get size(): number {
    return this.seen;
  }

  /**
   * Hashes every event up to a size, those that it has read before too.
   * @throws Contradiction
   */
  async readAll(size: number, rest: Rest): Promise<void> {
    await this.readBlocks(size, rest);
    await this.leaves([size - (size % BLOCK), size]);
    this.seen = Math.max(this.seen, size);
  }

  /**
   * The root over a range within {@link size}, which is a subtree or a whole tree.
   * @throws Contradiction
   */
  async root([from, to]: Range): Promise<Buffer> {
    const frontier = new Frontier();
    let at = from;
    for (; at % BLOCK === 0 && at + BLOCK <= to; at += BLOCK) {
      const root = this.roots[at / BLOCK];
      if (root === undefined) throw new Error(`Block ${at / BLOCK} has not been read.`);
      frontier.append(root, LEVELS);
    }
    for (const leaf of await this.leaves([at, to])) frontier.append(leaf);
    return frontier.root();
  }

  /** @throws Contradiction */
  async leaves([from, to]: Range): Promise<Buffer[]> {
    if (from === to) return [];
    const { leaves, wrong } = await this.rows.leaves(from, to);
    mustBeWhole(from, to, leaves.length, wrong);
    return leaves.map((leaf) => Buffer.from(leaf, 'hex'));
  }

  private async readBlocks(size: number, rest: Rest): Promise<void> {
    const end = Math.floor(size / BLOCK);
    for (let from = 0; from < end; from += BLOCKS_AT_ONCE) {
      const began = performance.now();
      const to = Math.min(end, from + BLOCKS_AT_ONCE);
      const read = await this.rows.blocks(from, to);
      for (let block = from; block < to; block++)
        this.take(
          block,
          read.find((each) => each.block === block),
        );
      await rest(performance.now() - began);
    }
  }

  private take(block: number, read: BlockRead | undefined): void {
    const [from, to] = [block * BLOCK, (block + 1) * BLOCK];
    mustBeWhole(from, to, read?.events ?? 0, read?.wrong ?? null);
    const root = Buffer.from(read?.root ?? '', 'hex');
    const before = this.roots[block];
    if (before === undefined) this.roots[block] = root;
    else if (!before.equals(root))
      throw new Contradiction(`The events ${from + 1} to ${to} are not what they were.`);
  }
}

function mustBeWhole(from: number, to: number, events: number, wrong: number | null): void {
  if (wrong !== null) throw new Contradiction(`Event ${wrong} is not as its hash says.`);
  if (events !== to - from)
    throw new Contradiction(`Where the events ${from + 1} to ${to} should be there are ${events}.`);
}
