import type { Socket } from 'node:net';

/** Node 20 never ends when a socket that is just shutting down is reset: it waits for it for ever at its own exit. */
export function reset(socket: Socket): void {
  if (socket.writable && !socket.connecting) socket.resetAndDestroy();
  else socket.destroy();
}
