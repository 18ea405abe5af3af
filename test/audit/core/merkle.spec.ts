import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { sha256 } from '../../../src/audit/core/leaf.js';
import { EMPTY_ROOT, Frontier, nodeHash, rootOf } from '../../../src/audit/core/merkle.js';
import {
  consistencyRanges,
  inclusionRanges,
  isConsistent,
  isIncluded,
  type Range,
  type TreeHead,
} from '../../../src/audit/core/proof.js';

/** FC_SEED=<seed> repeats a run. */
const seed = Number(process.env.FC_SEED ?? Date.now()) | 0;
process.stdout.write(`seed ${seed}\n`);
fc.configureGlobal({ seed, numRuns: 100 });

const hex = (hash: Buffer): string => hash.toString('hex');
const bytes = (text: string): Buffer => Buffer.from(text, 'hex');
const flipped = (hash: Buffer): Buffer => Buffer.concat([Buffer.of((hash[0] ?? 0) ^ 1), hash.subarray(1)]);

/** The definition of RFC 6962, section 2.1, as it stands there. */
function naiveRoot(leaves: readonly Buffer[]): Buffer {
  const [first] = leaves;
  if (first === undefined) return sha256('');
  if (leaves.length === 1) return first;
  let k = 1;
  while (2 * k < leaves.length) k *= 2;
  return nodeHash(naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)));
}

const head = (leaves: readonly Buffer[]): TreeHead => ({ size: leaves.length, root: rootOf(leaves) });
const hashes = (leaves: readonly Buffer[], ranges: readonly Range[]): Buffer[] =>
  ranges.map(([from, to]) => rootOf(leaves.slice(from, to)));

describe('the tree, by the vectors of the certificate-transparency log', () => {
  const data = [
    '',
    '00',
    '10',
    '2021',
    '3031',
    '40414243',
    '5051525354555657',
    '606162636465666768696a6b6c6d6e6f',
  ];
  const leaves = data.map((each) => sha256(Buffer.concat([Buffer.of(0), bytes(each)])));
  const roots = [
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
    '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
    'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
    '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
  ];
  const node = {
    1: '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
    '23': '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
    4: 'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    '45': '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
    '67': 'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
    '4567': '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
  };
  const [, root1 = '', root2 = '', , root4 = ''] = roots;

  it('has their roots at every size', () => {
    const frontier = new Frontier();
    const seen = [frontier.root(), ...leaves.map((leaf) => (frontier.append(leaf), frontier.root()))];
    expect(seen.map(hex)).toEqual(roots);
    expect(EMPTY_ROOT.equals(frontier.root())).toBe(false);
  });

  it.each([
    [0, 1, []],
    [0, 8, [node[1], node[23], node[4567]]],
    [5, 8, [node[4], node[67], root4]],
    [2, 3, [root2]],
    [1, 5, [root1, node[23], node[4]]],
  ])('proves leaf %i of %i as they do', (index, size, proof) => {
    expect(hashes(leaves, inclusionRanges(index, size)).map(hex)).toEqual(proof);
    const leaf = leaves[index] ?? EMPTY_ROOT;
    expect(isIncluded(leaf, index, { size, root: bytes(roots[size] ?? '') }, proof.map(bytes))).toBe(true);
  });

  it.each([
    [1, 1, []],
    [1, 8, [node[1], node[23], node[4567]]],
    [6, 8, [node[45], node[67], root4]],
    [2, 5, [node[23], node[4]]],
  ])('proves that %i is the beginning of %i as they do', (first, second, proof) => {
    expect(hashes(leaves, consistencyRanges(first, second)).map(hex)).toEqual(proof);
    const heads = [first, second].map((size) => ({ size, root: bytes(roots[size] ?? '') })) as [
      TreeHead,
      TreeHead,
    ];
    expect(isConsistent(...heads, proof.map(bytes))).toBe(true);
  });
});

describe('the tree, whatever its size', () => {
  const LEAVES = Array.from({ length: 260 }, (_, at) => sha256(`leaf ${at}`));
  const size = fc.integer({ min: 1, max: LEAVES.length });

  it('has the root of the definition, and takes whole subtrees', () => {
    for (let leaves = 0; leaves <= LEAVES.length; leaves += 1) {
      const part = LEAVES.slice(0, leaves);
      expect(hex(rootOf(part))).toBe(hex(naiveRoot(part)));
    }
    fc.assert(
      fc.property(size, fc.nat(8), (begun, level) => {
        const frontier = new Frontier();
        for (const leaf of LEAVES.slice(0, begun)) frontier.append(leaf);
        let at = begun;
        for (; at % 2 ** level !== 0 && at < LEAVES.length; at += 1)
          frontier.append(LEAVES[at] ?? EMPTY_ROOT);
        for (; at + 2 ** level <= LEAVES.length; at += 2 ** level)
          frontier.append(rootOf(LEAVES.slice(at, at + 2 ** level)), level);
        expect(hex(frontier.root())).toBe(hex(rootOf(LEAVES.slice(0, at))));
      }),
    );
  });

  it('proves every leaf, and nothing else by the same proof', () => {
    fc.assert(
      fc.property(size, fc.nat(), fc.nat(), (leaves, at, other) => {
        const part = LEAVES.slice(0, leaves);
        const index = at % leaves;
        const tree = head(part);
        const leaf = LEAVES[index] ?? EMPTY_ROOT;
        const path = hashes(part, inclusionRanges(index, leaves));
        expect(isIncluded(leaf, index, tree, path)).toBe(true);
        expect(isIncluded(flipped(leaf), index, tree, path)).toBe(false);
        expect(isIncluded(leaf, index, { ...tree, root: flipped(tree.root) }, path)).toBe(false);
        expect(isIncluded(leaf, index, tree, [...path, leaf])).toBe(false);
        expect(isIncluded(leaf, leaves, tree, path)).toBe(false);
        if (leaves > 1) {
          const wrong = path.map((hash, n) => (n === other % path.length ? flipped(hash) : hash));
          expect(isIncluded(leaf, index, tree, wrong)).toBe(false);
          expect(isIncluded(leaf, index, tree, path.slice(1))).toBe(false);
          expect(isIncluded(leaf, (index + 1) % leaves, tree, path)).toBe(false);
        }
      }),
    );
  });

  it('proves every beginning, and no other tree by the same proof', () => {
    fc.assert(
      fc.property(size, fc.nat(), fc.nat(), (leaves, shorter, other) => {
        const part = LEAVES.slice(0, leaves);
        const first = head(part.slice(0, 1 + (shorter % leaves)));
        const second = head(part);
        const proof = hashes(part, consistencyRanges(first.size, second.size));
        expect(isConsistent(first, second, proof)).toBe(true);
        expect(isConsistent({ ...first, root: flipped(first.root) }, second, proof)).toBe(false);
        expect(isConsistent(first, { ...second, root: flipped(second.root) }, proof)).toBe(false);
        expect(isConsistent(first, second, [...proof, first.root])).toBe(false);
        if (proof.length > 0) {
          const wrong = proof.map((hash, n) => (n === other % proof.length ? flipped(hash) : hash));
          expect(isConsistent(first, second, wrong)).toBe(false);
          expect(isConsistent(first, second, proof.slice(1))).toBe(false);
          expect(isConsistent(second, first, proof)).toBe(false);
        }
      }),
    );
  });

  it('refuses what is no leaf, no beginning and no subtree', () => {
    expect(() => inclusionRanges(3, 3)).toThrow('A tree of 3 leaves has no leaf 3.');
    expect(() => inclusionRanges(-1, 3)).toThrow(RangeError);
    expect(() => consistencyRanges(0, 3)).toThrow('No tree of 0 leaves is the beginning of one of 3.');
    expect(() => consistencyRanges(4, 3)).toThrow(RangeError);
    expect(() => {
      const frontier = new Frontier();
      frontier.append(EMPTY_ROOT);
      frontier.append(EMPTY_ROOT, 1);
    }).toThrow('No subtree of 2 leaves begins at 1.');
  });
});
