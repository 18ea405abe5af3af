import { nodeHash, splitOf } from './merkle.js';

/** The head of a tree. */
export interface TreeHead {
  /** Number of leaves. */
  readonly size: number;
  readonly root: Buffer;
}

/**
 * Leaves from one index up to, without, another. Each begins where a subtree of its size may begin, so its root is
 * that of a tree of its own.
 */
export type Range = readonly [from: number, to: number];

/**
 * What proves that a leaf is in the tree: the ranges whose roots are the path of RFC 9162, section 2.1.3.1, in its
 * order, from the leaf to the root. Whoever has the leaves hashes them.
 * @param index of the leaf, from 0: its position − 1
 * @throws RangeError when the tree has no such leaf
 */
export function inclusionRanges(index: number, size: number): Range[] {
  if (!(index >= 0 && index < size)) throw new RangeError(`A tree of ${size} leaves has no leaf ${index}.`);
  return rangesBeside(index, [0, size], ([from, to]) => to - from === 1).ranges;
}

/**
 * What proves that a tree is the beginning of another: the ranges whose roots are the proof of RFC 9162, section
 * 2.1.4.1, in its order.
 * @throws RangeError unless 0 < `first` ≤ `second`
 */
export function consistencyRanges(first: number, second: number): Range[] {
  if (!(first > 0 && first <= second))
    throw new RangeError(`No tree of ${first} leaves is the beginning of one of ${second}.`);
  const { ranges, end } = rangesBeside(first - 1, [0, second], ([, to]) => to === first);
  // Where it ends at the whole first tree, its root is known to whoever checks.
  return end[0] === 0 ? ranges : [end, ...ranges];
}

/** Goes from the root towards a leaf. @returns what lies beside the way, lowest first, and where the way ends */
function rangesBeside(
  index: number,
  whole: Range,
  isEnd: (range: Range) => boolean,
): { ranges: Range[]; end: Range } {
  const ranges: Range[] = [];
  let end = whole;
  while (!isEnd(end)) {
    const [from, to] = end;
    const middle = from + splitOf(to - from);
    ranges.unshift(index < middle ? [middle, to] : [from, middle]);
    end = index < middle ? [from, middle] : [middle, to];
  }
  return { ranges, end };
}

/** Whether a leaf stands at an index of the tree with that root. @param path as of {@link inclusionRanges} */
export function isIncluded(leaf: Buffer, index: number, tree: TreeHead, path: readonly Buffer[]): boolean {
  if (!(index >= 0 && index < tree.size)) return false;
  const hashes = [...path];
  const rootOver = (at: number, size: number): Buffer | undefined => {
    if (size === 1) return leaf;
    const split = splitOf(size);
    const beside = hashes.pop();
    if (beside === undefined) return undefined;
    const own = at < split ? rootOver(at, split) : rootOver(at - split, size - split);
    return own && (at < split ? nodeHash(own, beside) : nodeHash(beside, own));
  };
  const root = rootOver(index, tree.size);
  return hashes.length === 0 && root?.equals(tree.root) === true;
}

/** Whether the first tree is the beginning of the second. @param proof as of {@link consistencyRanges} */
export function isConsistent(first: TreeHead, second: TreeHead, proof: readonly Buffer[]): boolean {
  if (!(first.size > 0 && first.size <= second.size)) return false;
  const hashes = [...proof];
  /** The roots of a subtree as it was in the first tree and as it is in the second. */
  const rootsOver = (from: number, to: number): [Buffer, Buffer] | undefined => {
    if (to === first.size) {
      const same = from === 0 ? first.root : hashes.pop();
      return same && [same, same];
    }
    const middle = from + splitOf(to - from);
    const beside = hashes.pop();
    if (beside === undefined) return undefined;
    if (first.size <= middle) {
      const roots = rootsOver(from, middle);
      return roots && [roots[0], nodeHash(roots[1], beside)];
    }
    const roots = rootsOver(middle, to);
    return roots && [nodeHash(beside, roots[0]), nodeHash(beside, roots[1])];
  };
  const roots = rootsOver(0, second.size);
  return (
    hashes.length === 0 && roots !== undefined && roots[0].equals(first.root) && roots[1].equals(second.root)
  );
}
