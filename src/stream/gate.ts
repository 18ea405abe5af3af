import type { Server } from 'node:http';
import type { Socket } from 'node:net';

import { Injectable } from '@nestjs/common';

import { SpareTime } from './spare-time.js';

const STREAM = Buffer.from('GET /lora/stream');

/**
 * Lets connections in. While thousands of streams keep the loop busy new ones wait, oldest first, for time to spare:
 * whoever asks for anything else comes in at once, so that nobody's command waits behind them.
 */
@Injectable()
export class Gate {
  /** Who waits, with the first bytes that have come. */
  private readonly waiting = new Map<Socket, () => void>();

  constructor(private readonly spare: SpareTime) {}

  /** Puts itself before the server's own listener. */
  guard(server: Server): void {
    const [serve] = server.listeners('connection') as ((socket: Socket) => void)[];
    if (serve === undefined) throw new Error('The server does not serve connections.');
    server.off('connection', serve);
    server.on('connection', (socket) => {
      this.spare.noteArrival();
      if (this.spare.isIdle) serve.call(server, socket);
      else this.hold(socket, serve.bind(server, socket));
    });
  }

  /** Closes the connections of those who wait. */
  close(): void {
    for (const socket of this.waiting.keys()) socket.destroy();
  }

  private hold(socket: Socket, serve: () => void): void {
    const { waiting } = this;
    const leave = (): void => {
      waiting.delete(socket);
    };
    const drop = (): void => void socket.destroy();
    let first: Buffer | undefined;
    const admit = (): void => {
      leave();
      socket.off('data', look).off('close', leave).off('end', drop).off('error', drop);
      if (first) socket.unshift(first);
      serve();
      socket.resume();
    };
    const look = (bytes: Buffer): void => {
      first = bytes;
      socket.pause();
      if (bytes.subarray(0, STREAM.length).equals(STREAM)) socket.off('data', look);
      else admit();
    };
    socket.on('data', look).on('close', leave).on('end', drop).on('error', drop);
    if (waiting.size === 0) this.spare.do(this.admitOldest);
    waiting.set(socket, admit);
  }

  private readonly admitOldest = (): boolean => {
    for (const admit of this.waiting.values()) {
      admit();
      break;
    }
    return this.waiting.size > 0;
  };
}
