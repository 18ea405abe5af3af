/**
 * The core of the audit room: hashes, the tree, signed checkpoints, receipts. Pure, so that the service and a verifier
 * without any service run the same code; must never know a database, a network or a clock.
 */
import { hash } from 'node:crypto';

export function sha256(data: Buffer | string): Buffer {
  return hash('sha256', data, 'buffer');
}

/**
 * The leaf of an event: SHA-256(0x00 ‖ position ‖ recorded_at in µs since 1970 ‖ SHA-256(body)), numbers as 8
 * bytes big-endian; the leading zero is the leaf prefix of RFC 6962. The database computes the same in
 * append_batch; docs/event-format.md holds it for ever.
 * @param recordedAt RFC 3339 UTC with six digits
 * @throws Error when it is not
 */
export function leafHash(position: number, recordedAt: string, body: string): Buffer {
  const leaf = Buffer.alloc(49);
  leaf.writeBigUInt64BE(BigInt(position), 1);
  leaf.writeBigInt64BE(microseconds(recordedAt), 9);
  sha256(body).copy(leaf, 17);
  return sha256(leaf);
}

/** @throws Error when it is not of the form 2026-11-24T02:14:07.000001Z */
export function microseconds(recordedAt: string): bigint {
  const parts = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})Z$/.exec(recordedAt);
  if (!parts) throw new Error(`${recordedAt} is not a time of the log.`);
  const [, seconds = '', fraction = ''] = parts;
  return BigInt(Date.parse(`${seconds}Z`)) * 1000n + BigInt(fraction);
}
