import type { Socket } from 'node:net';

import type { SpareTime } from './spare-time.js';

/** How many connections are read at a time: if all of them have hung up, the loop is busy for some milliseconds. */
const READ_AT_ONCE = 32;
/** How long they are read before it is the others' turn. */
const TURN_MS = 50;

/**
 * Notices which streams have been hung up. Thousands may be at the same moment, and the end of each takes the loop a
 * tenth of a millisecond: so their connections are read some at a time, in turn. Where one of those has hung up the
 * next are looked at as soon as there is time to spare, otherwise every 50 ms: a crowd's end is noticed at once, that
 * of a single one among 5,000 within 8 s, or when something is written to it. Up to 32 are read all the time.
 */
export class HangUps {
  private readonly unread = new Set<Socket>();
  private read = new Set<Socket>();
  private looking = false;

  constructor(private readonly spare: SpareTime) {
    setInterval(this.look, TURN_MS).unref();
  }

  /** @param socket whose request has been read to its end */
  watch(socket: Socket): void {
    if (this.read.size < READ_AT_ONCE) {
      this.read.add(socket);
    } else {
      socket.pause();
      this.unread.add(socket);
    }
    socket.once('close', () => {
      this.unread.delete(socket);
      if (this.read.delete(socket)) this.look();
    });
  }

  private readonly look = (): void => {
    if (this.looking || this.unread.size === 0) return;
    this.looking = true;
    this.spare.do(this.readNext);
  };

  /** One step in each turn of the loop: what it lets in is read at the end of the turn. */
  private readonly readNext = (): boolean => {
    const before = this.read;
    this.read = new Set();
    for (const socket of this.unread) {
      if (this.read.size === READ_AT_ONCE) break;
      this.unread.delete(socket);
      this.read.add(socket);
      socket.resume();
    }
    for (const socket of before) {
      if (this.read.size < READ_AT_ONCE) {
        this.read.add(socket);
      } else {
        socket.pause();
        this.unread.add(socket);
      }
    }
    setImmediate(() => (this.looking = false));
    return false;
  };
}
