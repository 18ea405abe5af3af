import { sha256 } from './leaf.js';

/** The tree without leaves. */
export const EMPTY_ROOT = sha256('');

/** SHA-256(0x01 ‖ left ‖ right): an inner node of RFC 6962, section 2.1. */
export function nodeHash(left: Buffer, right: Buffer): Buffer {
  left.copy(written, 1);
  right.copy(written, 33);
  return sha256(written);
}

/** What is hashed for a node, used again for each. */
const written = Buffer.alloc(65, 1);

/** The largest power of two below a number of leaves: where RFC 6962 divides a tree. */
export function splitOf(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

/**
 * A Merkle tree (RFC 6962, section 2.1; the same in RFC 9162) that grows at its right edge and remembers only the
 * roots of its complete subtrees: one for each 1 in the binary form of its size.
 */
export class Frontier {
  private leaves = 0;
  private readonly peaks: Buffer[] = [];

  /**
   * @param hash a leaf's, or the root of a complete subtree of 2^`level` leaves
   * @throws RangeError when such a subtree cannot begin at this size
   */
  append(hash: Buffer, level = 0): void {
    const added = 2 ** level;
    let pairs = this.leaves / added;
    if (!Number.isInteger(pairs))
      throw new RangeError(`No subtree of ${added} leaves begins at ${this.leaves}.`);
    let carried = hash;
    for (; pairs % 2 === 1; pairs = (pairs - 1) / 2)
      carried = nodeHash(this.peaks.pop() ?? EMPTY_ROOT, carried);
    this.peaks.push(carried);
    this.leaves += added;
  }

  root(): Buffer {
    return (
      this.peaks.reduceRight<Buffer | undefined>(
        (right, left) => (right ? nodeHash(left, right) : left),
        undefined,
      ) ?? EMPTY_ROOT
    );
  }
}

/** The root over leaf hashes that are all at hand. */
export function rootOf(leaves: Iterable<Buffer>): Buffer {
  const frontier = new Frontier();
  for (const leaf of leaves) frontier.append(leaf);
  return frontier.root();
}
