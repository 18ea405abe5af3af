/**
 * The core of the audit room: hashes, the tree, signed checkpoints, receipts. Pure, so that the service and a verifier
 * without any service run the same code; must never know a database, a network or a clock.
 */
import { hash } from 'node:crypto';

export function sha256(data: Buffer | string): Buffer {
  return Buffer.from(digest(data), 'binary');
}

/** A string of 32 bytes: asked for a buffer, node:crypto takes three times as long. */
function digest(data: Buffer | string): string {
  return hash('sha256', data, 'binary');
}

/** What is hashed for a leaf, used again for each. */
const written = Buffer.alloc(49);

/**
 * The leaf of an event: SHA-256(0x00 ‖ position ‖ recorded_at in µs since 1970 ‖ SHA-256(body)), numbers as 8
 * bytes big-endian; the leading zero is the leaf prefix of RFC 6962. The database computes the same in
 * append_batch; docs/event-format.md holds it for ever.
 * @param recordedAt RFC 3339 UTC with six digits
 * @throws Error when it is not
 */
export function leafHash(position: number, recordedAt: string, body: string): Buffer {
  written.writeUInt32BE(Math.floor(position / 2 ** 32), 1);
  written.writeUInt32BE(position % 2 ** 32, 5);
  written.writeBigInt64BE(microseconds(recordedAt), 9);
  written.write(digest(body), 17, 'binary');
  return sha256(written);
}

const FORM = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

/** @throws Error when it is not of the form 2026-11-24T02:14:07.000001Z */
export function microseconds(recordedAt: string): bigint {
  const milliseconds = FORM.test(recordedAt) ? Date.parse(recordedAt) : NaN;
  if (Number.isNaN(milliseconds)) throw new Error(`${recordedAt} is not a time of the log.`);
  const rest = Number(recordedAt.slice(23, 26));
  const sum = milliseconds * 1000 + rest;
  // Arithmetic on bigints takes several times as long, and no time before the year 2255 needs it.
  return Number.isSafeInteger(sum) ? BigInt(sum) : BigInt(milliseconds) * 1000n + BigInt(rest);
}
