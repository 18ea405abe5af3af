import type { Socket } from 'node:net';

import type { Response } from 'express';

import type { Listener } from './audience.js';
import { HEARTBEAT, RETRY } from './sse-format.js';
import { streamsDropped } from './stream-metrics.js';

/** One engine at the other end. What it does not read in time is replaced by what is newer, never queued. */
export class StreamClient implements Listener {
  private readonly socket: Socket;
  private waitingSince: number | undefined;
  private newest: Buffer | undefined;

  /**
   * @param response whose connection is its own: no answer before it is still under way
   * @param has the tag of the state that the client has
   */
  constructor(
    private readonly response: Response,
    private has: string | undefined,
  ) {
    const socket = (this.socket = response.req.socket);
    // The end of the connection is the end of the stream: what comes after the head are the bytes as they are.
    response.useChunkedEncodingByDefault = false;
    response.shouldKeepAlive = false;
    response.status(200).set({
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-cache, no-transform',
      'X-Accel-Buffering': 'no',
    });
    response.on('error', () => undefined);
    socket.setNoDelay(true).setKeepAlive(true, 15_000);
    socket.on('drain', this.goOn);
    // All that is said at once goes out at once.
    socket.cork();
    process.nextTick(() => {
      socket.uncork();
    });
    response.flushHeaders();
    this.write(RETRY);
    if (response.req.method === 'HEAD') response.end();
  }

  /** Sends a state, unless the client has it. */
  tell(tag: string, event: Buffer): void {
    if (tag === this.has) return;
    this.has = tag;
    if (this.waitingSince === undefined) this.write(event);
    else this.newest = event;
  }

  /** @param patienceMs how long a client may read nothing before it is dropped */
  beat(fresh: boolean, patienceMs: number): void {
    if (this.waitingSince === undefined) {
      if (fresh) this.write(HEARTBEAT);
    } else if (performance.now() - this.waitingSince > patienceMs) {
      streamsDropped.inc();
      this.response.destroy();
    }
  }

  end(last?: Buffer): void {
    if (this.waitingSince !== undefined) this.response.destroy();
    else this.response.end(last);
  }

  private readonly goOn = (): void => {
    this.waitingSince = undefined;
    const { newest } = this;
    this.newest = undefined;
    if (newest) this.write(newest);
  };

  /** To the connection itself: the response would do no more than that, for half as much again. */
  private write(bytes: Buffer): void {
    if (this.response.writableEnded || !this.socket.writable) return;
    if (!this.socket.write(bytes)) this.waitingSince = performance.now();
  }
}
