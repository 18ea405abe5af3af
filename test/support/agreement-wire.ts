/** The little that a proxy must know of PostgreSQL's protocol, version 3. */

/** The value of a parameter in a client's first packet; undefined when it has none or is no startup packet. */
export function startupParameter(packet: Buffer, name: string): string | undefined {
  if (packet.length < 8 || packet.readUInt16BE(4) !== 3) return undefined;
  const words = packet.subarray(8).toString('utf8').split('\0');
  for (let at = 0; at + 1 < words.length; at += 2) if (words[at] === name) return words[at + 1];
  return undefined;
}

/** Takes messages of one type out of what a server sends, however it is cut into packets. */
export class MessageFilter {
  private rest = Buffer.alloc(0);

  constructor(private readonly type: string) {}

  /** @returns the whole messages that have come so far, without those of the type */
  take(bytes: Buffer): Buffer {
    this.rest = Buffer.concat([this.rest, bytes]);
    const kept: Buffer[] = [];
    while (this.rest.length >= 5) {
      const length = 1 + this.rest.readUInt32BE(1);
      if (this.rest.length < length) break;
      const message = this.rest.subarray(0, length);
      if (String.fromCharCode(message[0] ?? 0) !== this.type) kept.push(message);
      this.rest = this.rest.subarray(length);
    }
    return Buffer.concat(kept);
  }
}
