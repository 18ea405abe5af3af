import type { Response } from 'express';

import { HEARTBEAT, RETRY } from './sse-format.js';
import { streamsDropped } from './stream-metrics.js';

/** One engine at the other end. What it does not read in time is replaced by what is newer, never queued. */
export class StreamClient {
  /** When the connection has closed, whoever ended it. */
  readonly ended: Promise<void>;
  private waitingSince: number | undefined;
  private newest: Buffer | undefined;

  /** @param has the tag of the state that the client has */
  constructor(
    private readonly response: Response,
    private has: string | undefined,
  ) {
    // The end of the connection is the end of the stream: without chunks, an event is one write.
    response.useChunkedEncodingByDefault = false;
    response.shouldKeepAlive = false;
    response.status(200).set({
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-cache, no-transform',
      'X-Accel-Buffering': 'no',
    });
    response.socket?.setNoDelay(true).setKeepAlive(true, 15_000);
    response
      .on('error', () => undefined)
      .on('drain', () => {
        this.waitingSince = undefined;
        const { newest } = this;
        this.newest = undefined;
        if (newest) this.write(newest);
      });
    this.ended = new Promise((resolve) => response.once('close', resolve));
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

  private write(bytes: Buffer): void {
    if (!this.response.write(bytes)) this.waitingSince = performance.now();
  }
}
